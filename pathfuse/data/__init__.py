"""From files to batches: case tables and folders, splits, the prepared-image cache, data modules, the demo cohort."""
