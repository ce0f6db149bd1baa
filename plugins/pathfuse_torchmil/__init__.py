"""Published multiple-instance learning networks of torchmil as fusion blocks, one per module."""
