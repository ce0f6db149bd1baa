"""Several processes of one run, and what stops them."""
