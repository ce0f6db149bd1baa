"""Formats of feature files, read and written."""
