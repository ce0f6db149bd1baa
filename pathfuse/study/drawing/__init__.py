"""Figures of a study, a file per kind."""
