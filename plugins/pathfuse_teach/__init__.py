"""Learning from a teacher that sees more than the student will."""
