"""Raw scores in HDF5, with the places they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from pathfuse.explain.places import SlideScores
from pathfuse.system.files import replacing

SCORES = "scores"


class RawScores:
    """One file for a case and stain: `scores/EXPLAINER`, and of bags `coords`, `slide` and the names of the slides.

    Images have scores (H, W); bags (T,), beside `coords` (T, 2), top-left corners in level-0 pixels, and `slide` (T,),
    the position in the attribute `slides`; vectors (D,). The attribute `class` says which class was explained.

    Args:
        path: the file.
        case_id: the case.
        modality: its stain or table.
        explained: the class.
    """

    def __init__(self, path: Path, case_id: str, modality: str, explained: str) -> None:
        self.path = path
        self.attributes: dict[str, object] = {"case_id": case_id, "modality": modality, "class": explained}

    def write(self, scores: Mapping[str, NDArray[np.floating]]) -> None:
        """Writes the scores of an image or vector, by explainer.

        Raises:
            RunError: if the folder cannot be written to or the disk is full.
        """
        self._write(scores, {})

    def write_slides(self, scored: Mapping[str, tuple[SlideScores, ...]]) -> None:
        """Writes the scores of a bag, by explainer; the slides are the same for all of them.

        Raises:
            RunError: if the folder cannot be written to or the disk is full.
        """
        slides = next(iter(scored.values()))
        places = [one.places for one in slides]
        more: dict[str, NDArray[np.generic]] = {
            "slide": np.concatenate([np.full(len(one.score), number) for number, one in enumerate(slides)])
        }
        if all(own is not None for own in places):
            more["coords"] = np.concatenate([own for own in places if own is not None])
        self.attributes |= {"slides": [one.slide.slide_id for one in slides]}
        self.attributes |= {"patch_size_level0": [one.slide.patch_size_level0 or 0.0 for one in slides]}
        self._write({name: np.concatenate([one.score for one in own]) for name, own in scored.items()}, more)

    def _write(self, scores: Mapping[str, NDArray[np.generic]], more: Mapping[str, NDArray[np.generic]]) -> None:
        with replacing(self.path) as temporary, h5py.File(temporary, "w") as file:
            for key, value in self.attributes.items():
                file.attrs[key] = value
            for name, values in more.items():
                file.create_dataset(name, data=values, compression="gzip", compression_opts=1)
            for name, values in scores.items():
                file.create_dataset(f"{SCORES}/{name}", data=values, compression="gzip", compression_opts=1)
