"""Slides to feature files: any encoder, resumably, at the hardware's speed."""

from pathfuse.extract.job import ExtractJob, run_job

__all__ = ["ExtractJob", "run_job"]
