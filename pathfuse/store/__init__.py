"""Feature files of any pipeline: read in place, written, converted, repacked and checked."""

from pathfuse.registry import Match
from pathfuse.store.contents.contents import Contents, Found
from pathfuse.store.contract import SlideFeatures, Store, WrittenSlide
from pathfuse.store.read import open_slide, read_contents, stores, suffixes
from pathfuse.store.rows.rows import MemoryRows, Rows

__all__ = [
    "Contents",
    "Found",
    "Match",
    "MemoryRows",
    "Rows",
    "SlideFeatures",
    "Store",
    "WrittenSlide",
    "open_slide",
    "read_contents",
    "stores",
    "suffixes",
]
