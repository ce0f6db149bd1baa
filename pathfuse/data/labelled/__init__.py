"""Patches with a class each, from folders and HDF5."""
