"""Feature files of any pipeline: read in place, written, converted, repacked and checked."""

from pathfuse.store.contents.contents import Contents, Found
from pathfuse.store.contract import Match, SlideFeatures, Store
from pathfuse.store.read import SUFFIXES, open_slide, read_contents, stores
from pathfuse.store.rows import Rows

__all__ = [
    "SUFFIXES",
    "Contents",
    "Found",
    "Match",
    "Rows",
    "SlideFeatures",
    "Store",
    "open_slide",
    "read_contents",
    "stores",
]
