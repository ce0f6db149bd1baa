"""Files of a registration: written, and read back."""
