"""One small component of every slot, written out so that it can be read and replaced."""
