"""Sources of a cohort: case tables, label tables with stores, folders of pairs or classes, PatchCamelyon."""
