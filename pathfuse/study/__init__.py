"""Recipes over folds and seeds: what a study is, how its runs are done, and what comes out of them."""
