"""Rows of arrays on disk: contract, mapped, HDF5."""
