"""eva's embeddings: a list of vectors, one per patch, and a manifest of all slides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from pathfuse.errors import StoreError
from pathfuse.registry import Match
from pathfuse.store.contents.contents import Contents
from pathfuse.store.contract import SlideFeatures, Store, WrittenSlide
from pathfuse.system.csv_writing import CsvWriter
from pathfuse.system.files import replacing

MANIFEST = "manifest.csv"
COLUMNS = ("origin", "embeddings", "target", "split", "wsi_id")
"""Rows with one `wsi_id` are concatenated by eva."""


class EvaStore(Store):
    """eva's `<slide>.pt`, a list of vectors. A stacked one is a plain tensor, which `TensorStore` reads.

    Coordinates are unknown: eva puts later parts of a slide in front of earlier ones, so the rows of its separate
    coordinate table do not belong to the rows of this file.

    Source: eva 0.4.5, `EmbeddingsWriter`.
    """

    source_format = "eva"
    needs_cases = True

    def match(self, contents: Contents) -> Match:
        """A torch file that is a list."""
        return Match.LIKELY if contents.kind == "torch" and contents.listed else Match.NO

    def beside(self, path: Path) -> tuple[Path, ...]:
        """None: everything stands in the file."""
        return ()

    def read(self, contents: Contents) -> SlideFeatures:
        """The slide."""
        lacks = {"coords": "rows of an eva file do not follow its coordinate table"}
        return SlideFeatures(contents.path, contents.path.stem, contents.rows(""), self.source_format, lacks=lacks)

    def write(self, slide: SlideFeatures, root: Path) -> Path:
        """Writes `<slide>.pt`, one stacked tensor."""
        path = root / f"{slide.slide_id}.pt"
        with replacing(path, error=StoreError) as temporary:
            torch.save(slide.features.read().contiguous().clone(), temporary)
        return path

    def example(self, folder: Path, slide: SlideFeatures) -> Path:
        """A list of vectors, as eva writes them; what it reads is one tensor."""
        path = folder / f"{slide.slide_id}.pt"
        torch.save(list(slide.features.read()), path)
        return path

    def write_table(self, root: Path, slides: Sequence[WrittenSlide]) -> None:
        """Writes `manifest.csv`, last: eva takes a folder that has one as finished.

        Raises:
            StoreError: if there is one already.
        """
        path = root / MANIFEST
        if path.exists():
            raise StoreError(f"{path} exists already. Choose another folder.")
        with replacing(path, error=StoreError) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            table = CsvWriter(file)
            table.writerow(COLUMNS)
            for one in slides:
                where = one.path.relative_to(root)
                table.writerow([one.source.name, where, one.target, one.split, one.path.stem])
