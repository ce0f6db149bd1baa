"""Trained models without what trains them: predictions, features and maps of cases."""
