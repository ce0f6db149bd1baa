"""Readers of slide files, one for each kind of file."""
