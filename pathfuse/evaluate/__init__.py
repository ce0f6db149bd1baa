"""How good the predictions are: metrics, confidence, intervals and the table that closes a run."""
