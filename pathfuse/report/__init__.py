"""Pages about runs, comparisons and studies: one HTML file without a network, and every number beside it as JSON."""
