"""Peers that benchmarks run beside ours, written plainly."""
