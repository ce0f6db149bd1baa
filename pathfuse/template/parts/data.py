"""A data module: the mean colour of every stain of a case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pathfuse.cohort import Case, Cohort
from pathfuse.core import ModalitySpec
from pathfuse.data.samples import Draw, SampleData
from pathfuse.errors import ImageError


class TinyData(SampleData):
    """Mean red, green and blue of the first picture of each stain, from 0 to 1: a vector per stain.

    Args:
        cohort: the cases; those without a picture of these stains are left out.
        modalities: the stains.
        noise: standard deviation of what is added to training cases.
    """

    def __init__(self, cohort: Cohort, *, modalities: tuple[str, ...] = ("he", "ihc"), noise: float = 0.0) -> None:
        self.modalities = tuple(modalities)
        self.noise = noise
        super().__init__(cohort.restricted(lambda case: bool(case.files.keys() & modalities), "no picture of a stain"))

    def modality_specs(self) -> list[ModalitySpec]:
        """A vector of three for each stain."""
        return [ModalitySpec(name, "vector", 3) for name in self.modalities]

    def sample(self, case: Case, draw: Draw) -> dict[str, Tensor]:
        """The vectors (3,) of the stains that the case has."""
        found = {name: mean_colour(case.files[name][0].path) for name in self.modalities if name in case.files}
        if draw.part != "train" or not self.noise:
            return found
        noise = {name: torch.from_numpy(draw.random.normal(size=3)).float() for name in found}
        return {name: colour + self.noise * noise[name] for name, colour in found.items()}

    @staticmethod
    def example_cohort(folder: Path) -> Cohort:
        """What the conformance kit builds it on: grey squares of 12 patients, a few without IHC."""
        rows = ["case_id,patient_id,modality,path,label,split"]
        for number in range(12):
            part = ("train", "train", "val", "test")[number % 4]
            for stain in ("he", "ihc")[: 1 if number % 5 == 4 else 2]:
                Image.new("RGB", (8, 8), (20 * number,) * 3).save(folder / f"{stain}_{number}.png")
                rows.append(f"c{number},p{number},{stain},{stain}_{number}.png,{'ab'[number // 4 % 2]},{part}")
        (folder / "cases.csv").write_text("\n".join(rows) + "\n")
        return Cohort(cases=str(folder / "cases.csv"))


def mean_colour(path: Path) -> Tensor:
    """The mean of a picture (3,)."""
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"), np.float32)  # (H, W, 3)
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error}). Copy it again.") from error
    return torch.from_numpy(pixels.mean(axis=(0, 1)) / 255)  # (3,)
