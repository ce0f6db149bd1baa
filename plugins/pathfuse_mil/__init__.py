"""Bags of patches: encoders, packed operations, and pooling by attention, mean or maximum."""
