"""Steadier training: averaged weights, batch statistics, and which epoch is kept."""
