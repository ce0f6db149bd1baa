"""Faults of plug-ins: what is wrong with one, found without importing it or while it is imported."""
