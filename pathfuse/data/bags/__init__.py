"""Bags of features or tiles, packed."""
