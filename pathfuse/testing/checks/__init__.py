"""The checks, each a function named for its rule: it returns if the rule holds and raises if not."""
