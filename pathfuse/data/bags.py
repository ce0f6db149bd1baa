"""The data module of feature bags: per case and stain, the features of all patches of all its slides."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch.utils.data import DataLoader

from pathfuse.core import Batch, DataSpec, ModalitySpec
from pathfuse.data.bags_cohort import BagTable, Fact, open_bags
from pathfuse.data.bags_dataset import BagLoader, BagSet, Sampling
from pathfuse.data.bags_pairs import ClassPairs, PairedBagSet, Pairing
from pathfuse.data.bags_source import read_bag_cases
from pathfuse.data.cache import default_cache
from pathfuse.data.cohort import Cohort, Rows
from pathfuse.data.cohort_data import CohortData
from pathfuse.data.demo.bags import DemoBags
from pathfuse.data.label_map import NamedMap, label_map_of, merge_labels
from pathfuse.data.parts import Parts
from pathfuse.data.sampler import EpochSampler
from pathfuse.errors import CaseTableError, RecipeError, StoreError

_DEMO = DemoBags()
BIG = 2 << 30  # bytes of one bag in memory from which a note says so
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class PairedBags(CohortData):
    """Bags of patch features, from the files that TRIDENT, CLAM, STAMP, eva, WSMCL, MADELEINE and torchmil write.

    A case has per stain any number of slides; their patches make one bag. A stain without patches is absent by mask.
    Every stain may come from another store and encoder. Which patches are drawn depends on seed, epoch and case alone.

    Args:
        root: folder that holds `cases.csv`; null, without `cases` and `stores`, makes the demo cohort.
        cases: case table (CSV) whose paths are feature files.
        stores: per stain, the folder of its feature files, instead of a case table; needs `labels_table`.
        labels_table: with `stores`, a CSV of cases and labels as CLAM, STAMP, MADELEINE or WSMCL write it; or, per
            stain, one of its own. Cases of different tables are then different patients, whatever they are called.
        label_column: column of the labels in `labels_table`.
        modalities: stains to read; null takes those of `stores`, else he and ihc.
        patches_per_bag: in training, at most so many patches of each case and stain, drawn anew each epoch without
            replacement; null takes all.
        eval_patches_per_bag: the same for validation, test and prediction, with one draw for all; null takes all.
        dtype: type of the features in a batch.
        mpp: micrometres per level-0 pixel of all slides, where neither the file nor the case table says.
        patch_size_level0: edge of a patch in level-0 pixels, where the file does not say.
        pairing: what a training case is made of. `case`: the stains of one case. `class`: a bag of each stain from
            cases of one class, drawn anew each epoch and equally often for every class; `class_static`: drawn once and
            in the order of the classes, as released with WSMCL.
        require: facts that every slide must state: coords, patch_size_level0, mpp, encoder.
        batch_size: cases per batch.
        num_workers: processes that load; 0 loads in the main process.
        split: `given` keeps the parts of the source, `drawn` draws new ones by patient.
        splits: file of folds, as `pathfuse data split` writes it, instead of the parts of the source; null without.
        repeat: which repeat of `splits`, from 0.
        fold: which fold of that repeat, from 0.
        val_fraction: fraction of the training patients drawn for validation when the source has no such part.
        test_fraction: fraction of the patients drawn for the test when the source has no parts.
        seed: of the parts, the order and the drawn patches.
        labels: `required`: a case without a label is an error; `optional`: it is used without.
        missing: `error`: a case that lacks a stain is an error; `allow`: a stain may lack everywhere; null: every stain
            must be there for some case. A case without any patch is left out and named, or an error with `error`.
        label_map: merges labels: `zero_low_high` or `positive`, with `_ish` by the column `ish` where a 2+ needs it, or
            what each label becomes ("" leaves its cases out). `classes` then names the merged ones.
        classes: label names in the order of the class index; null takes 0, 1+, 2+, 3+ for HER2 and else the alphabet.
        test_on: `test` tests on the test part, `all` on every case: for a cohort that the model never saw.
        cache: folder of the demo cohort; null takes the platform's cache folder.
        demo: the generated cohort, used when there is no `root`, `cases` or `stores`.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        cases: str | None = None,
        stores: dict[str, str] | None = None,
        labels_table: str | dict[str, str] | None = None,
        label_column: str = "label",
        modalities: Sequence[str] | None = None,
        patches_per_bag: int | None = None,
        eval_patches_per_bag: int | None = None,
        dtype: Literal["float32", "float16", "bfloat16"] = "float32",
        mpp: float | None = None,
        patch_size_level0: float | None = None,
        pairing: Pairing = "case",
        require: Sequence[Fact] = (),
        batch_size: int = 8,
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
        classes: Sequence[str] | None = None,
        test_on: Literal["test", "all"] = "test",
        cache: str | None = None,
        demo: DemoBags = _DEMO,
    ) -> None:
        super().__init__()
        _check_source(root, cases, stores, labels_table)
        for name, count in (("patches_per_bag", patches_per_bag), ("eval_patches_per_bag", eval_patches_per_bag)):
            _check(name, count is None or count >= 1, count, "at least 1, or null for all")
        for name, size in (("mpp", mpp), ("patch_size_level0", patch_size_level0)):
            _check(name, size is None or size > 0, size, "more than 0")
        _check("batch_size", batch_size >= 1, batch_size, "at least 1")
        _check("num_workers", num_workers >= 0, num_workers, "at least 0")
        for name, share in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
            _check(name, 0 <= share < 1, share, "a fraction from 0 to below 1")
        stains = tuple(modalities) if modalities is not None else tuple(stores or ("he", "ihc"))
        if not stains or len(set(stains)) < len(stains):
            raise RecipeError(f"data.modalities is {list(stains)}; name each stain once, and at least one.")
        self.root = root
        self.cases = cases
        self.stores = stores
        self.labels_table = labels_table
        self.label_column = label_column
        self.modalities = stains
        self.patches_per_bag = patches_per_bag
        self.eval_patches_per_bag = eval_patches_per_bag
        self.dtype = dtype
        self.mpp = mpp
        self.patch_size_level0 = patch_size_level0
        self.pairing: Pairing = pairing
        self.require = tuple(require)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.parts = Parts(split, splits, repeat, fold, val_fraction, test_fraction, seed=seed, test_on=test_on)
        self.seed = seed
        self.labels = labels
        self.missing = missing
        self.label_map = label_map
        self._mapping = label_map_of(label_map, classes)
        self.classes = classes
        self.cache = Path(cache) if cache else default_cache()
        self.demo = demo

    def spec(self) -> DataSpec:
        """The stains with the width of their features, the classes, and labelled training cases per class."""
        stains = tuple(ModalitySpec(m, "features", self._bags.widths[m]) for m in self.modalities)
        return DataSpec(stains, tuple(self.cohort.classes), self.cohort.class_counts())

    def setup(self, stage: str) -> None:
        """Refuses features of another width than the model was made for."""
        for modality, expected in self._model_widths().items():
            width = self._bags.widths.get(modality, 0)
            if width and expected and width != expected:
                raise StoreError(
                    f"{modality} features have width {width}, but the model was made for {expected}: another encoder "
                    "made them. Extract them with the encoder of the training cohort."
                )

    def train_dataloader(self) -> DataLoader[Batch]:
        """The training part, shuffled, with the patches of this epoch."""
        index = self.cohort.where("train")
        if not len(index):
            raise CaseTableError(f"{self.cohort.origin.name} has no training case. Correct its parts, or draw them.")
        return self._loader(index, Sampling(self.patches_per_bag, self.seed), shuffle=True, persistent=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation part in table order."""
        return self._loader(self.cohort.where("val"), self._evaluation, persistent=True)

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test part, or every case with `test_on: all`, in table order."""
        return self._loader(self.cohort.where("test"), self._evaluation)

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Every case in table order, whatever its part."""
        return self._loader(np.arange(len(self.cohort)), self._evaluation)

    @cached_property
    def cohort(self) -> Cohort:
        """The cases with their parts; opens every file's header on first use."""
        table = self._bags.table
        cases, notes = self.parts.apply(table.cases)
        return Cohort(table.origin, cases, table.classes, [*table.notes, *notes, *self._size_note()], table.flow)

    @cached_property
    def _bags(self) -> BagTable:
        table = read_bag_cases(
            root=self.root,
            cases=self.cases,
            stores=self.stores,
            labels_table=self.labels_table,
            label_column=self.label_column,
            modalities=self.modalities,
            classes=self.classes if self._mapping is None else None,
            mpp=self.mpp,
            demo=self.demo,
            cache=self.cache,
        )
        return open_bags(
            merge_labels(table, self._mapping, self.classes),
            self.modalities,
            missing=self.missing,
            labels=self.labels,
            require=self.require,
            patch_size_level0=self.patch_size_level0,
        )

    @property
    def _evaluation(self) -> Sampling:
        return Sampling(self.eval_patches_per_bag, self.seed, by_epoch=False)

    def _model_widths(self) -> dict[str, int]:
        """What the model at hand was made for; a run that predicts from H&E alone needs the width of absent IHC."""
        module = getattr(self.trainer, "lightning_module", None)
        spec = getattr(module, "spec", None)
        return {m.name: m.width for m in spec.modalities} if isinstance(spec, DataSpec) else {}

    def _size_note(self) -> list[str]:
        size = {"float32": 4}.get(self.dtype, 2)
        slides = [several for case in self._bags.slides.values() for several in case.values()]
        largest = max((sum(len(s) * s.features.shape[1] for s in several) * size for several in slides), default=0)
        if largest < BIG or (self.patches_per_bag and self.eval_patches_per_bag):
            return []
        return [f"The largest bag takes {largest / 2**30:.1f} GiB as {self.dtype}; patches_per_bag bounds it."]

    def _loader(
        self, index: Rows, sampling: Sampling, *, shuffle: bool = False, persistent: bool = False
    ) -> DataLoader[Batch]:
        cases = self.cohort.cases
        made_for = self._model_widths()
        slides = [self._bags.slides[case.case_id] for case in cases]
        widths = {m: self._bags.widths[m] or made_for.get(m, 0) for m in self.modalities}
        targets, names = self.cohort.targets(), [case.case_id for case in cases]
        patients, dtype = [case.patient_id for case in cases], _DTYPES[self.dtype]
        pairs = self._pairs(index) if shuffle else None
        data = (
            BagSet(slides, widths, targets, names, patients, index, sampling=sampling, dtype=dtype)
            if pairs is None
            else PairedBagSet(slides, widths, targets, names, patients, pairs, sampling=sampling, dtype=dtype)
        )
        trainer = self.trainer
        sampler = EpochSampler(
            data,
            seed=self.seed,
            shuffle=shuffle and self.pairing != "class_static",
            epoch=None if trainer is None else self._epoch,
            ranks=1 if trainer is None else trainer.world_size,
            rank=0 if trainer is None else trainer.global_rank,
        )
        workers = min(self.num_workers, -(-len(sampler) // self.batch_size))
        return BagLoader(
            data,  # type: ignore[arg-type]  # BagLoader raises the errors among the batches
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=workers,
            collate_fn=_as_is,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=persistent and workers > 0,
            generator=torch.Generator().manual_seed(self.seed),  # the global one must not depend on the loader
        )

    def _pairs(self, index: Rows) -> ClassPairs | None:
        if self.pairing == "case":
            return None
        cases = self.cohort.cases
        lends = {m: np.array([m in self._bags.slides[case.case_id] for case in cases]) for m in self.modalities}
        static = self.pairing == "class_static"
        origin, targets = self.cohort.origin, self.cohort.targets()
        return ClassPairs(origin, targets, self.cohort.classes, lends, index, seed=self.seed, static=static)

    def _epoch(self) -> int:
        return 0 if self.trainer is None else self.trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]


def _as_is(batch: object) -> object:
    return batch


def _check_source(
    root: str | None, cases: str | None, stores: dict[str, str] | None, labels: str | dict[str, str] | None
) -> None:
    if sum(source is not None for source in (root, cases, stores)) > 1:
        raise RecipeError("data.root, data.cases and data.stores exclude each other; keep the one to read.")
    if (stores is None) != (labels is None):
        other = "labels_table" if labels is None else "stores"
        raise RecipeError(f"data.stores and data.labels_table belong together; add data.{other}.")


def _check(name: str, good: bool, value: float | None, wanted: str) -> None:
    if not good:
        raise RecipeError(f"data.{name} is {value}; give {wanted}.")
