"""The size and structure of the code, in numbers."""
