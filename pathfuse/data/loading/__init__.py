"""Loaders and the order of cases."""
