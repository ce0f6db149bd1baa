"""The data module of paired patches: one image per case and stain."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

from torch.utils.data import DataLoader

from pathfuse.cohort.cohort import Cohort, Rows
from pathfuse.cohort.folds.parts import Parts
from pathfuse.cohort.label_map import NamedMap
from pathfuse.cohort.source import read_source, refuse_several
from pathfuse.core import Batch, DataSpec, ModalitySpec
from pathfuse.data.cohort_data import CohortData, Part
from pathfuse.data.images.augment import Augment, Augmenter
from pathfuse.data.images.cache import PreparedImages, prepared_images
from pathfuse.data.images.dataset import PairedImages
from pathfuse.data.images.decode import Pixels, check_same_size, image_size, picture_of
from pathfuse.data.images.prepare import Preparation, preparations
from pathfuse.data.loading.loader import case_loader
from pathfuse.data.loading.sampler import EpochSampler
from pathfuse.data.option_checks import check_at_least, check_one_source
from pathfuse.demo import DemoOptions, write_cohort
from pathfuse.demo.cohort import Generated
from pathfuse.demo.drawn import drawn
from pathfuse.system.progress import available_cores

# Defaults of the types that a recipe has; never changed.
_STAINS = ["he", "ihc"]
_NORMALISED = ["he"]
_AUGMENT = Augment()
_DEMO = DemoOptions()
GENERATED = "The images are generated (demo cohort): no number here says anything about patients."


class PairedPatches(CohortData):
    """Co-registered patches, one image per case and stain, from a case table or a folder of pairs.

    Images are decoded, stain-normalised, cut square and resized once, and then read from a memory-mapped cache. Order
    and augmentation depend on seed, epoch and case alone, so the number of workers changes nothing.

    Args:
        root: folder of pairs `HE/{train,test}/NNNNN_split_SCORE.png` and `IHC/...`, or a folder with `cases.csv`; null
            without `cases` makes the demo cohort.
        cases: case table (CSV) instead of a folder.
        groups: CSV `file,group` that names the slide or patient behind each file of `root`.
        modalities: stains to read.
        size_px: edge in pixels of the images that the model sees.
        normalise: stains that get Macenko normalisation.
        targets: per stain, an image whose stain colours are the reference; H&E has a usual one.
        mpp: micrometres per pixel of the files, where the source does not say.
        batch_size: cases per batch.
        num_workers: processes that augment training cases; 0 augments in the main process. Without augmentation there
            is nothing to share: the main process reads the cache.
        split: `given` keeps the parts of the source, `drawn` draws new ones by patient.
        splits: file of folds, as `pathfuse data split` writes it, instead of the parts of the source; null without.
        repeat: which repeat of `splits`, from 0.
        fold: which fold of that repeat, from 0.
        val_fraction: fraction of the training patients drawn for validation when the source has no such part.
        test_fraction: fraction of the patients drawn for the test when the source has no parts.
        seed: of the parts, the order and the augmentation.
        labels: `required`: a case without a label is an error; `optional`: it is used without.
        missing: `error`: a case that lacks a stain is an error; `allow`: it is used with what it has; null: error in a
            folder of pairs, allowed in a case table.
        label_map: merges labels: `zero_low_high` or `positive`, with `_ish` by the column `ish` where a 2+ needs it, or
            what each label becomes ("" leaves its cases out). `classes` then names the merged ones.
        classes: label names in the order of the class index; null takes 0, 1+, 2+, 3+ for HER2 and else the alphabet.
        test_on: `test` tests on the test part, `all` on every case: for a cohort that the model never saw.
        augment: random changes of training cases; null changes nothing.
        cache: folder of prepared images; null takes the platform's cache folder.
        verify: recognise changed files by their contents instead of size and time, and check the cache's own.
        demo: the generated cohort, used when there is neither `root` nor `cases`.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        cases: str | None = None,
        groups: str | None = None,
        modalities: list[str] = _STAINS,
        size_px: int = 256,
        normalise: list[str] = _NORMALISED,
        targets: dict[str, str] | None = None,
        mpp: float | None = None,
        batch_size: int = 16,
        num_workers: int = 2,
        split: Literal["given", "drawn"] = "given",
        splits: str | None = None,
        repeat: int = 0,
        fold: int = 0,
        val_fraction: float = 0.3,
        test_fraction: float = 0.2,
        seed: int = 0,
        labels: Literal["required", "optional"] = "required",
        missing: Literal["error", "allow"] | None = None,
        label_map: NamedMap | dict[str, str] | None = None,
        classes: list[str] | None = None,
        test_on: Literal["test", "all"] = "test",
        augment: Augment | None = _AUGMENT,
        cache: str | None = None,
        verify: bool = False,
        demo: DemoOptions = _DEMO,
    ) -> None:
        check_one_source({"root": root, "cases": cases})
        check_at_least("size_px", size_px, 1)
        super().__init__(
            modalities,
            batch_size=batch_size,
            num_workers=num_workers,
            parts=Parts(split, splits, repeat, fold, val_fraction, test_fraction, seed=seed, test_on=test_on),
            label_map=label_map,
            classes=classes,
            cache=cache,
        )
        self.root = root
        self.cases = cases
        self.groups = groups
        self.size_px = size_px
        self.normalise = tuple(normalise)
        self.targets = targets or {}
        self.mpp = mpp
        self.labels = labels
        self.missing = missing
        self.augment = augment
        self.verify = verify
        self.demo: Generated = demo
        self._images: dict[str, PreparedImages] | None = None

    def spec(self) -> DataSpec:
        """The stains, the classes, and how many labelled training cases each class has."""
        stains = tuple(ModalitySpec(m, "image", 3, self.size_px, self._mpp(m)) for m in self.modalities)
        return DataSpec(stains, tuple(self.cohort.classes), self.cohort.class_counts())

    def prepare_data(self) -> None:
        """Fills the cache; on several ranks, one of each machine does."""
        self._prepare()

    def setup(self, stage: str) -> None:
        """Opens the cache."""
        self._prepare()

    def picture(self, case_id: str) -> dict[str, Pixels]:
        """The prepared images of a case, as the model sees them, at most 512 px wide."""
        position = self.cohort.position(case_id)
        rows = {m: self.cohort.rows(m)[position] for m in self.modalities}
        return {m: picture_of(self._prepare()[m][row]) for m, row in rows.items() if row >= 0}

    @cached_property
    def cohort(self) -> Cohort:
        """The cases with their parts; read on first use."""
        table = read_source(
            self._source(),
            modalities=self.modalities,
            groups=Path(self.groups) if self.groups else None,
            classes=self._own_classes(),
            labels=self.labels,
            missing=self.missing,
            mpp=self.mpp,
        )
        table = self._merged(table)
        refuse_several(table, type(self).__name__)
        return self._divided(table, before=[GENERATED] if self.root is None and self.cases is None else [])

    def _source(self) -> Path:
        path = self.root or self.cases
        if path is not None:
            return Path(path)
        return self._drawn_demo()

    def _drawn_demo(self) -> Path:
        assert isinstance(self.demo, DemoOptions)
        return drawn(self.demo, self.cache, write_cohort, "cohort")

    def _preparations(self) -> Mapping[str, Preparation]:
        return preparations(self.modalities, self.size_px, self.normalise, self.targets)

    def _augmenter(self) -> Augmenter | None:
        return None if self.augment is None else Augmenter(self.augment, self.size_px, self.seed)

    def _mpp(self, modality: str) -> float | None:
        files = [case.files[modality][0] for case in self.cohort.cases if modality in case.files]
        known = {file.mpp for file in files}
        mpp = known.pop() if len(known) == 1 else None
        return None if mpp is None else mpp * min(image_size(files[0].path)) / self.size_px

    def _prepare(self) -> dict[str, PreparedImages]:
        if self._images is None:
            ready = self._preparations()
            workers = max(self.num_workers, available_cores())
            check = functools.cache(self._check_partners)
            self._images = {
                m: prepared_images(
                    files, ready[m], self.cache, verify=self.verify, workers=workers, title=f"{m} images", before=check
                )
                for m in self.modalities
                if (files := [case.files[m][0].path for case in self.cohort.cases if m in case.files])
            }
        return self._images

    def _check_partners(self) -> None:
        for case in self.cohort.cases:
            check_same_size([files[0].path for files in case.files.values()])

    def _loader(self, index: Rows, part: Part) -> DataLoader[Batch]:
        training = part == "train"
        augment = self._augmenter() if training else None
        data = PairedImages(
            self._prepare(),
            {m: self.cohort.rows(m) for m in self.modalities},
            self.cohort.targets(),
            [case.case_id for case in self.cohort.cases],
            [case.patient_id for case in self.cohort.cases],
            index,
            size_px=self.size_px,
            augment=augment,
        )
        sampler = self._sampler(data, index, training)
        return case_loader(
            data,
            sampler,
            batch_size=self.batch_size,
            # Passing a batch between processes takes longer than reading one: workers pay where there is work to do.
            num_workers=0 if augment is None else self.num_workers,
            seed=self.seed,
            # Batch normalisation cannot train on one case.
            drop_last=training and len(sampler) > self.batch_size and len(sampler) % self.batch_size == 1,
        )

    def _sampler(self, data: PairedImages, index: Rows, shuffle: bool) -> EpochSampler:
        return self._ordered(data, shuffle)
