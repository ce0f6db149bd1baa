"""The definition of a study: its variants, folds, cohorts and report, and the YAML file that has them."""
