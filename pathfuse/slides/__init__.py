"""Slides and stains: everything between a scanned image and a model input."""
