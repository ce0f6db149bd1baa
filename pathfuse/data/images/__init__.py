"""Images from files to a batch: decode, prepare, cache, augment."""
