"""WSMCL: Nystrom attention per stain, a contrast between the most and least attended patches, and a head per stain."""
