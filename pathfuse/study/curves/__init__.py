"""Learning curves of a study: lines with intervals, and what one gains over the others."""
