"""Data modules of somebody else."""
