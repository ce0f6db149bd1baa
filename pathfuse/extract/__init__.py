"""Slides to feature files: any encoder, resumably, at the hardware's speed. `pathfuse.extract.job` is the way in.

Nothing is imported here: the reading processes need a part of this package only, and none of torch.
"""
