"""Contents of feature files: HDF5, tensors, NumPy."""
