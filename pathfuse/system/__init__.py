"""Files, locks, shards, progress and the Ray cluster: what many parts need of the machine."""
