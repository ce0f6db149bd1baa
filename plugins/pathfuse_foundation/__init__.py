"""Pathology encoders by the names that people use, from a table of what their authors say about them."""
