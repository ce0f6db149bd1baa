"""Trials of what recipes reach, with controls and intervals; each prints a table that the documentation shows."""
