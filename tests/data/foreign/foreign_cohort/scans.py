"""Images of a format of its own: an array per case in one archive, H&E and, for some cases, IHC."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from pathfuse import Case, Cohort, Draw, ModalitySpec, SampleData


class ArchivedScans(SampleData):
    """Images of an archive whose arrays are called CASE_he and CASE_ihc.

    Args:
        cohort: the cases.
        archive: the .npz file.
    """

    def __init__(self, cohort: Cohort, *, archive: str = "scans.npz") -> None:
        with np.load(archive) as arrays:
            self.scans = {name: arrays[name] for name in arrays.files}
        super().__init__(cohort.restricted(lambda case: f"{case.case_id}_he" in self.scans, f"no scan in {archive}"))

    def modality_specs(self) -> Sequence[ModalitySpec]:
        size = next(iter(self.scans.values())).shape[0]
        return [ModalitySpec(name, "image", 3, size) for name in ("he", "ihc")]

    def sample(self, case: Case, draw: Draw) -> Mapping[str, Tensor]:
        found = {name: self.scans.get(f"{case.case_id}_{name}") for name in ("he", "ihc")}
        return {n: torch.from_numpy(x.transpose(2, 0, 1) / np.float32(255)) for n, x in found.items() if x is not None}
