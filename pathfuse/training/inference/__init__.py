"""A trained model in Python: predictions, features and maps of new cases, and training in one call."""
