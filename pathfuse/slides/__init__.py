"""Slides and stains: everything between a scanned image and a model input.

`open_slide` opens any slide. MONAI's WSIReader is not used: on the same slides it takes two to five times as long for a
patch (benchmarks/bench_tiles.py) and knows no area mean.
"""

from pathfuse.registry import Match
from pathfuse.slides.memory import MemorySlide
from pathfuse.slides.normalise import Normaliser, normaliser
from pathfuse.slides.opening import open_slide
from pathfuse.slides.reader import SlideReader
from pathfuse.slides.resample import Pixels
from pathfuse.slides.slide import Level, Slide, clipped
from pathfuse.slides.spacing import Spacing
from pathfuse.slides.tissue import Mask, Tissue, tissue_rule

__all__ = [
    "Level",
    "Mask",
    "Match",
    "MemorySlide",
    "Normaliser",
    "Pixels",
    "Slide",
    "SlideReader",
    "Spacing",
    "Tissue",
    "clipped",
    "normaliser",
    "open_slide",
    "tissue_rule",
]
