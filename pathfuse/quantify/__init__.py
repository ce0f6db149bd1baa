"""Stain amounts: colour deconvolution of IHC, per patch and per slide."""
