"""Who is in a cohort: cases, patients, labels, parts and folds."""
