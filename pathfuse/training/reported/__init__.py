"""What a report needs beside the numbers of a test."""
