"""The page of a run: a panel per case, with its stains side by side."""
