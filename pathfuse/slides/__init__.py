"""Slides and stains: everything between a scanned image and a model input.

`pathfuse.slides.opening.open_slide` opens any slide. MONAI's WSIReader is not used: on the same slides it takes two to
five times as long for a patch (benchmarks/bench_tiles.py) and knows no area mean.
"""
