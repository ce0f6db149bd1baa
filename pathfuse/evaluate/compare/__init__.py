"""Comparison of runs over the patients that they share."""
