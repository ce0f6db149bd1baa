"""Heads that score a case: softmax, and softmax with a learned confidence."""
