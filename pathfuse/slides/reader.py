"""The contract of a reader of slide files.

Third parties subclass `SlideReader` and `Slide`, and name the reader in an entry point of the group `pathfuse.reader`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from pathfuse.registry import Match
from pathfuse.slides.resample import Pixels
from pathfuse.slides.slide import Slide
from pathfuse.slides.spacing import Spacing


class SlideReader(ABC):
    """Knows the files of one format and opens them. Its constructor gets no argument, and importing it is cheap.

    Attributes:
        suffixes: in lower case with the dot: which files of a folder are slides.
    """

    suffixes: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def match(self, path: Path) -> Match:
        """How sure it is that a file is its own, by first bytes and suffix; the surest reader opens it.

        Our own say at most `LIKELY`. Whoever knows a file by its contents says `CERTAIN`.

        Args:
            path: a file that is there and not empty.
        """

    @abstractmethod
    def open(self, path: Path, spacing: Spacing) -> Slide:
        """The open slide.

        Args:
            path: a file that `match` did not refuse.
            spacing: what the user says; if its `mpp` is None, what the file says counts.

        Raises:
            ImageError: if it cannot be read.
        """

    def example(self, folder: Path, pixels: Pixels) -> Path | None:
        """Writes a small file of the format for the conformance kit; None if it cannot, and less is checked.

        Args:
            folder: where it goes.
            pixels: RGB, uint8, (H, W, 3), its finest level; no spacing is stated.
        """
        return None
