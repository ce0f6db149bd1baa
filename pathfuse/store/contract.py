"""The contract of a store: reader, and where it can be, writer of one format of feature files.

Third parties subclass `Store` and name the class in an entry point of the group `pathfuse.store`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from pathfuse.errors import StoreError
from pathfuse.registry import Match
from pathfuse.store.contents.contents import Contents, Fact
from pathfuse.store.rows.rows import Index, Rows


@dataclass(frozen=True)
class SlideFeatures:
    """The features of one slide and what is known about them. Nothing is guessed: what the file does not say is None.

    Attributes:
        path: the file.
        slide_id: name of the slide.
        features: (N, D) as stored; `features.read(rows)` reads.
        source_format: the format it was read as.
        coords_level0_px: (N, 2) top-left (x, y) in level-0 pixels.
        coords_um: (N, 2) top-left (x, y) in micrometres. At most one of the two is there: the unit as stored.
        patch_size_level0: edge of a patch in level-0 pixels.
        patch_size_um: edge of a patch in micrometres, for formats that store it instead.
        mpp: micrometres per level-0 pixel.
        encoder: name of the network that made the features.
        modality: stain, for formats that store it.
        lacks: for facts that are missing, why: the attribute that is not there.
        facts: attributes as stored, for `pathfuse store check`.
    """

    path: Path
    slide_id: str
    features: Rows
    source_format: str
    coords_level0_px: Rows | None = None
    coords_um: Rows | None = None
    patch_size_level0: float | None = None
    patch_size_um: float | None = None
    mpp: float | None = None
    encoder: str | None = None
    modality: str | None = None
    lacks: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, coords in (("coords_level0_px", self.coords_level0_px), ("coords_um", self.coords_um)):
            if coords is not None and (coords.shape[1] != 2 and len(coords)):
                raise StoreError(f"{self.path}: {name} has {coords.shape[1]} columns instead of x and y.")
            if coords is not None and len(coords) != len(self.features):
                raise StoreError(
                    f"{self.path} has {len(self.features)} rows of features, but {len(coords)} of coordinates. "
                    "Extract it again."
                )

    def __len__(self) -> int:
        return len(self.features)

    @property
    def level0_patch_size(self) -> float | None:
        """Edge of a patch in level-0 pixels, converted from micrometres where mpp is known."""
        if self.patch_size_level0 is None and self.patch_size_um is not None and self.mpp is not None:
            return self.patch_size_um / self.mpp
        return self.patch_size_level0

    @property
    def patch_um(self) -> float | None:
        """Edge of a patch in micrometres; None if it cannot be known."""
        level0 = self.patch_size_level0
        return self.patch_size_um if level0 is None or self.mpp is None else level0 * self.mpp

    @property
    def has_level0_coords(self) -> bool:
        """Whether coordinates in level-0 pixels are stored, or can be computed exactly from what is stored."""
        return self.coords_level0_px is not None or (self.coords_um is not None and self.mpp is not None)

    def level0_coords(self, index: Index | None = None) -> Tensor | None:
        """Top-left (x, y) in level-0 pixels of some or all patches, (k, 2) long; None if it cannot be known."""
        if self.coords_level0_px is not None:
            return _whole(self.coords_level0_px.read(index))
        if self.coords_um is not None and self.mpp is not None:
            return _whole(self.coords_um.read(index).double() / self.mpp)
        return None

    def um_coords(self, index: Index | None = None) -> Tensor | None:
        """Top-left (x, y) in micrometres of some or all patches, (k, 2) double; None if it cannot be known."""
        if self.coords_um is not None:
            return self.coords_um.read(index).double()
        if self.coords_level0_px is not None and self.mpp is not None:
            return self.coords_level0_px.read(index).double() * self.mpp
        return None

    @property
    def um_patch_size(self) -> float | None:
        """Edge of a patch in micrometres, converted from level-0 pixels where mpp is known."""
        if self.patch_size_um is None and self.patch_size_level0 is not None and self.mpp is not None:
            return self.patch_size_level0 * self.mpp
        return self.patch_size_um

    @property
    def origin(self) -> tuple[int, int]:
        """Where viewers begin to count on the slide, in level-0 pixels; (0, 0) where the file does not say."""
        left, top = (self.facts.get(f"bounds_{axis}", 0) for axis in "xy")
        return (
            (round(float(left)), round(float(top)))
            if isinstance(left, int | float) and isinstance(top, int | float)
            else (0, 0)
        )

    def need(self, fact: str) -> None:
        """Refuses to go on without a fact: `coords`, `patch_size_level0`, `mpp` or `encoder`.

        Raises:
            StoreError: naming the file, the missing attribute and what to do.
        """
        known = {
            "coords": self.has_level0_coords,
            "patch_size_level0": self.level0_patch_size is not None,
            "mpp": self.mpp is not None,
            "encoder": self.encoder is not None,
        }
        if not known[fact]:
            why = self.lacks.get(fact) or f"a {self.source_format} file stores no {fact}"
            if fact == "coords" and self.coords_um is not None:
                why, fact = "its coordinates are micrometres, and level-0 pixels need mpp", "mpp"
            raise StoreError(f"{self.path} has no {fact} ({why}). {_REMEDY[fact]}")


_REMEDY = {
    "coords": "Extract it again with coordinates.",
    "patch_size_level0": "Give patch_size_level0, or export it again.",
    "mpp": "Give mpp (micrometres per level-0 pixel), in the case table or as an option.",
    "encoder": "Extract it again, or do without.",
}


class WrittenSlide(NamedTuple):
    """One slide that was written, with what its cohort says about it.

    Attributes:
        source: the feature file that it came from.
        path: what was written.
        target: its class as a number.
        split: its part: `train`, `val` or `test`.
    """

    source: Path
    path: Path
    target: int
    split: str


class Store(ABC):
    """One format. It decides by keys and attributes; a name counts only where the format has nothing else.

    Its constructor gets no argument.

    Attributes:
        source_format: its name in `SlideFeatures`, on the command line and in messages.
        suffixes: of its files, in lower case with the dot, where they are neither HDF5 nor torch nor numpy files.
        alone: whether all that it says of a slide, and that the file is its own, stands in that file, or in TRIDENT's
            folder of states; it is then read once and remembered.
        needs_cases: whether a folder of it holds labels and parts, so that a conversion needs a case table.
    """

    source_format: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    alone: ClassVar[bool] = False
    needs_cases: ClassVar[bool] = False

    @abstractmethod
    def match(self, contents: Contents) -> Match:
        """How sure it is that a file is its own; reads nothing but headers."""

    def beside(self, path: Path) -> tuple[Path, ...] | None:
        """Other files that decide whether a file is its own, or that say something of the slide, there or not.

        While none of them comes, goes or changes, a slide is remembered. None where nobody says: then the slides of a
        store that is not `alone` are read at every start.

        Args:
            path: a feature file.
        """
        return () if self.alone else None

    @abstractmethod
    def read(self, contents: Contents) -> SlideFeatures:
        """The slide.

        Raises:
            StoreError: if the file is of this format but cannot be used.
        """

    def write(self, slide: SlideFeatures, root: Path) -> Path:
        """Writes a slide into a folder; what the format needs and nobody knows is refused, never invented.

        Args:
            slide: of any format.
            root: the folder; it is made where it is missing.

        Returns:
            The file by which the slide is read again.

        Raises:
            StoreError: if a fact is missing, or the file cannot be written.
        """
        raise StoreError(f"{self.source_format} files are read and not written. Choose another format.")

    def write_table(self, root: Path, slides: Sequence[WrittenSlide]) -> None:  # noqa: B027 - most formats have none
        """Writes what a folder says about all of its slides, after the last of them. By itself it writes nothing.

        Raises:
            StoreError: if it cannot be written.
        """

    def example(self, folder: Path, slide: SlideFeatures) -> Path | None:
        """Writes a small file of the format for the conformance kit; None if it cannot, and less is checked.

        Args:
            folder: where it goes.
            slide: with coordinates, patch size, mpp and encoder; a format stores what it has a place for.
        """
        return self.write(slide, folder) if self.writes else None

    @property
    def writes(self) -> bool:
        """Whether it can write."""
        return type(self).write is not Store.write


def _whole(coords: Tensor) -> Tensor:
    return coords.round().to(torch.long) if coords.is_floating_point() else coords.to(torch.long)
