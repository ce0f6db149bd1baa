"""Captum's attributions as explainers."""
