"""The data module of labelled patches: images of one stain, each with a class of its own, to train a patch encoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from torch.utils.data import DataLoader

from pathfuse.cohort.cohort import Cohort, Rows
from pathfuse.cohort.folds.parts import Parts
from pathfuse.cohort.label_map import NamedMap
from pathfuse.cohort.source import TABLE, read_source, refuse_several
from pathfuse.core import Batch, DataSpec, ModalitySpec
from pathfuse.data.cohort_data import CohortData, Part
from pathfuse.data.images.augment import Augment, Augmenter
from pathfuse.data.images.dataset import PairedImages
from pathfuse.data.images.decode import Pixels, picture_of
from pathfuse.data.labelled.folders import read_class_folders
from pathfuse.data.labelled.hdf5 import holds_hdf5, read_hdf5
from pathfuse.data.labelled.pixels import FileImages, FittedImages, LabelledSource
from pathfuse.data.loading.loader import case_loader
from pathfuse.data.loading.sampler import Item
from pathfuse.data.option_checks import check_at_least, check_positive
from pathfuse.data.paired_patches import GENERATED
from pathfuse.demo import DemoOptions, write_cohort
from pathfuse.demo.drawn import drawn
from pathfuse.errors import PathfuseError, RecipeError

# Defaults of the types that a recipe has; never changed.
_AUGMENT = Augment(rotation=0.0, quarter_turns=True)
_DEMO = DemoOptions()


class LabelledPatches(CohortData):
    """Patches of one stain with a class each: PatchCamelyon's HDF5 files, or a folder per class.

    Only the patches of a batch are in memory. Order and augmentation depend on seed, epoch and patch alone.

    Args:
        root: folder with `NAME_{train,valid,test}_{x,y}.h5` as PatchCamelyon is published, with `CLASS/*.png`, with
            `{train,val,test}/CLASS/*.png`, or with `cases.csv`; null makes the demo cohort.
        groups: CSV `file,group` that names the patient or slide behind each image file, so that none lies in two
            parts. For HDF5 it is the column `wsi` of `NAME_{train,valid,test}_meta.csv`, where these are there.
        modality: stain of the patches.
        size_px: edge in pixels of the images that the model sees; patches are cut square and resized.
        mpp: micrometres per pixel of the patches as stored.
        batch_size: patches per batch.
        num_workers: processes that read and augment; 0 does so in the main process.
        split: `given` keeps the parts of the source, `drawn` draws new ones by patient.
        splits: file of folds, as `pathfuse data split` writes it, instead of the parts of the source; null without.
        repeat: which repeat of `splits`, from 0.
        fold: which fold of that repeat, from 0.
        val_fraction: fraction of the training patients drawn for validation when the source has no such part.
        test_fraction: fraction of the patients drawn for the test when the source has no parts.
        seed: of the parts, the order and the augmentation.
        label_map: merges labels: `zero_low_high` or `positive`, or what each label becomes ("" leaves its patches
            out). `classes` then names the merged ones.
        classes: class names in the order of the class index; of HDF5 what 0, 1, ... mean. Null takes the names of the
            folders, or the numbers.
        test_on: `test` tests on the test part, `all` on every patch: for patches that the model never saw.
        augment: random changes of training patches; null changes nothing.
        cache: folder of the demo cohort; null takes the platform's cache folder.
        demo: the generated cohort, used without `root`; the class of a patch is its patient's score.

    Source: Veeling et al. 2018, arXiv:1806.03962, for PatchCamelyon.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        groups: str | None = None,
        modality: str = "he",
        size_px: int = 224,
        mpp: float | None = None,
        batch_size: int = 64,
        num_workers: int = 2,
        split: Literal["given", "drawn"] = "given",
        splits: str | None = None,
        repeat: int = 0,
        fold: int = 0,
        val_fraction: float = 0.2,
        test_fraction: float = 0.2,
        seed: int = 0,
        label_map: NamedMap | dict[str, str] | None = None,
        classes: list[str] | None = None,
        test_on: Literal["test", "all"] = "test",
        augment: Augment | None = _AUGMENT,
        cache: str | None = None,
        demo: DemoOptions = _DEMO,
    ) -> None:
        check_at_least("size_px", size_px, 1)
        check_positive("mpp", mpp)
        super().__init__(
            [modality],
            batch_size=batch_size,
            num_workers=num_workers,
            parts=Parts(split, splits, repeat, fold, val_fraction, test_fraction, seed=seed, test_on=test_on),
            label_map=label_map,
            classes=classes,
            cache=cache,
        )
        self.root = root
        self.groups = groups
        self.modality = modality
        self.size_px = size_px
        self.mpp = mpp
        self.augment = augment
        self.demo = demo

    def spec(self) -> DataSpec:
        """The stain, the classes, and how many training patches each class has."""
        known = {file.mpp for case in self.cohort.cases for file in case.files[self.modality]}
        mpp = known.pop() if len(known) == 1 else None
        seen = None if mpp is None else mpp * self._found.images.edge_px() / self.size_px
        stain = ModalitySpec(self.modality, "image", 3, self.size_px, seen)
        return DataSpec((stain,), tuple(self.cohort.classes), self.cohort.class_counts())

    def picture(self, case_id: str) -> dict[str, Pixels]:
        """The patch as the model sees it, at most 512 px wide."""
        position = self.cohort.position(case_id)
        return {self.modality: picture_of(self._images[int(self._rows[position])])}

    @cached_property
    def cohort(self) -> Cohort:
        """The patches as cases with their parts; read on first use."""
        return self._divided(self._merged(self._found.table), before=[GENERATED] if self.root is None else [])

    @property
    def _images(self) -> FittedImages:
        return FittedImages(self._found.images, self.size_px)

    @cached_property
    def _rows(self) -> Rows:
        """Of every case of the cohort, its number among the patches that were found."""
        row = {case.case_id: number for number, case in enumerate(self._found.table.cases)}
        return np.array([row[case.case_id] for case in self.cohort.cases], dtype=np.int64)

    @cached_property
    def _found(self) -> LabelledSource:
        if self.root is None:
            return self._of_table(drawn(self.demo, self.cache, write_cohort, "cohort").parent)
        root = Path(self.root).absolute()  # `.` has no name to show
        if (root / TABLE).is_file():
            return self._of_table(root)
        if holds_hdf5(root):
            if self.groups is not None:
                raise RecipeError("data.groups is for image files; of HDF5 the slides are in ..._meta.csv. Remove it.")
            return read_hdf5(root, modality=self.modality, classes=self._own_classes(), mpp=self.mpp)
        return read_class_folders(
            root, modality=self.modality, classes=self._own_classes(), groups=self._groups(), mpp=self.mpp
        )

    def _of_table(self, root: Path) -> LabelledSource:
        table = read_source(
            root, modalities=[self.modality], groups=self._groups(), classes=self._own_classes(), mpp=self.mpp
        )
        refuse_several(table, type(self).__name__)
        return LabelledSource(table, FileImages([case.files[self.modality][0].path for case in table.cases]))

    def _groups(self) -> Path | None:
        return Path(self.groups) if self.groups else None

    def _loader(self, index: Rows, part: Part) -> DataLoader[Batch]:
        training = part == "train"
        augment = self.augment if training else None
        data = _Patches(
            {self.modality: self._images},
            {self.modality: self._rows},
            self.cohort.targets(),
            [case.case_id for case in self.cohort.cases],
            [case.patient_id for case in self.cohort.cases],
            index,
            size_px=self.size_px,
            augment=None if augment is None else Augmenter(augment, self.size_px, self.seed),
        )
        sampler = self._ordered(data, training)
        return case_loader(
            data,
            sampler,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            seed=self.seed,
            # Batch normalisation cannot train on one patch.
            drop_last=training and len(sampler) > self.batch_size and len(sampler) % self.batch_size == 1,
        )


class _Patches(PairedImages):
    """As its base, but what cannot be read is handed on, and the loader raises it as the one line it is."""

    def __getitems__(self, wanted: Sequence[Item | int]) -> Batch | PathfuseError:  # type: ignore[override]
        try:
            return super().__getitems__(wanted)
        except PathfuseError as error:
            return error
