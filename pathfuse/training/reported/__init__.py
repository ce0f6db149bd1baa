"""Material of a report beside the numbers of a test."""
