"""Evaluation: metrics, confidence, intervals and the table that closes a run."""
