"""Callbacks that a recipe may name to make training steadier."""
