"""Modalities of several kinds in one model: an encoder for each, and one for tables."""
