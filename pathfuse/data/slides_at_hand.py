"""Slides beside a run that reads features: pictures of a region, for maps to be drawn over."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from pathfuse.cohort.table import Case
from pathfuse.data.images.decode import Pixels
from pathfuse.errors import RecipeError
from pathfuse.slides.opening import open_slide, slide_suffixes
from pathfuse.slides.slide import Slide
from pathfuse.store.read import suffixes

PART_PX = 4096  # of the level that is read, at a time, so that memory does not grow with the slide
Box = tuple[float, float, float, float]
"""Left, top, width and height in level-0 pixels."""


@dataclass(frozen=True)
class SlidesAtHand:
    """Slides of cases, and folders of slides, whose files are found by the name of a slide without its ending.

    Attributes:
        folders: per stain, its folder; it wins.
        known: slides that the cases name, by stain and name.
    """

    folders: Mapping[str, Path]
    known: Mapping[tuple[str, str], Path] = field(default_factory=dict)

    @classmethod
    def of_cases(cls, cases: Iterable[Case], folders: Mapping[str, Path]) -> SlidesAtHand | None:
        """The slides that some cases name and those of folders; None where there is neither."""
        named = [(stain, file.path) for case in cases for stain, files in case.files.items() for file in files]
        kinds = {path.suffix.lower() for _, path in named} - {*suffixes()}
        endings = slide_suffixes() if kinds else frozenset()  # readers import what reads slides
        known = {(stain, path.stem): path for stain, path in named if path.suffix.lower() in endings}
        return cls(folders, known) if known or folders else None

    def __post_init__(self) -> None:
        for stain, folder in self.folders.items():
            if not folder.is_dir():
                raise RecipeError(f"--slides: {folder} of {stain} is no folder. Name the folder of its slides.")

    def __call__(self, stain: str, slide_id: str, box: Box, longest_px: int) -> Pixels | None:
        """A region (h, w, 3) whose longer edge has so many pixels; None where the slide is not there.

        Raises:
            ImageError: if the slide cannot be read.
            RecipeError: if the folder has several of its name, and none of them lies in a folder of its stain alone.
        """
        path = self._path(stain, slide_id)
        if path is None:
            return None
        scale = max(1.0, max(box[2], box[3]) / longest_px)
        with open_slide(path) as slide:
            return _region(slide, box, max(1, round(box[2] / scale)), max(1, round(box[3] / scale)))

    def _path(self, stain: str, slide_id: str) -> Path | None:
        """The file of a slide; the last by name of those that lie in one folder, such as a thumbnail and the slide.

        Of several folders it is the one of the stain, or else the one that was named.
        """
        found, known = self._files.get((stain, slide_id), []), self.known.get((stain, slide_id))
        if known in found:
            return known
        if len({path.parent for path in found}) > 1:
            root = self.folders[stain]
            own = [p for p in found if stain.lower() in map(str.lower, p.relative_to(root).parts[:-1])] or [
                path for path in found if path.parent == root
            ]
            if len({path.parent for path in own}) != 1:
                places = " and ".join(str(path) for path in found[:2])
                raise RecipeError(
                    f"--slides: {places} are both called {slide_id}. Name the folder of each stain: "
                    f"--slides '{{{stain}: DIR}}'."
                )
            found = own
        return found[-1] if found else known

    @cached_property
    def _files(self) -> dict[tuple[str, str], list[Path]]:
        endings = slide_suffixes()
        found: dict[tuple[str, str], list[Path]] = {}
        for stain, folder in self.folders.items():
            for path in sorted(folder.rglob("*")):
                if path.suffix.lower() in endings and path.is_file():
                    found.setdefault((stain, path.name[: -len(path.suffix)]), []).append(path)
        return found


def _region(slide: Slide, box: Box, width: int, height: int) -> Pixels:
    left, top, across, down = box[0], box[1], box[2] / width, box[3] / height
    level = slide.levels[slide.level_for(min(across, down))]
    step = max(1, math.floor(PART_PX * level.downsample / max(across, down)))
    image = np.empty((height, width, 3), np.uint8)
    for y in range(0, height, step):
        for x in range(0, width, step):
            high, wide = min(step, height - y), min(step, width - x)
            part = (left + x * across, top + y * down, wide * across, high * down)
            image[y : y + high, x : x + wide] = slide.read_box(part, wide, high)
    return image
