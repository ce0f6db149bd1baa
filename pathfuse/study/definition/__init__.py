"""What a study is: its variants, folds, cohorts and report, and the YAML file that says so."""
