"""eva's embeddings: a list of vectors, one per patch."""

from __future__ import annotations

from pathfuse.store.contents.contents import Contents
from pathfuse.store.contract import Match, SlideFeatures, Store


class EvaStore(Store):
    """Reads eva's `<slide>.pt`, a list of vectors. A stacked one is a plain tensor, which `TensorStore` reads.

    Coordinates are unknown: eva puts later parts of a slide in front of earlier ones, so the rows of its separate
    coordinate table do not belong to the rows of this file.

    Source: eva 0.4.5, `EmbeddingsWriter`.
    """

    source_format = "eva"

    def match(self, contents: Contents) -> Match:
        """A torch file that is a list."""
        return Match.LIKELY if contents.kind == "torch" and contents.listed else Match.NO

    def read(self, contents: Contents) -> SlideFeatures:
        """The slide."""
        lacks = {"coords": "rows of an eva file do not follow its coordinate table"}
        return SlideFeatures(contents.path, contents.path.stem, contents.rows(""), self.source_format, lacks=lacks)
