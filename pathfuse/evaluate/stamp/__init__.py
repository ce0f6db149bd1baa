"""Predictions as STAMP's statistics read and write them."""
