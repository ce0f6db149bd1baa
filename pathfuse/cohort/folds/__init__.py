"""Parts and folds by patient: drawn, read, written and checked."""
