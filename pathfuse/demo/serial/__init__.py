"""Slides of serial sections, with the map between them."""
