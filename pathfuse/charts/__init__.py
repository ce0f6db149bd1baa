"""Charts as SVG for pages and papers: one look, readable in dark and light, the same bytes every time."""
