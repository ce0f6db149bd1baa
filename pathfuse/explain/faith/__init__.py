"""Measures of how far maps can be believed: hidden places, the truth, and mixed-up weights."""
