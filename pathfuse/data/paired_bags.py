"""The data module of feature bags: per case and stain, the features of all patches of all its slides."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch.utils.data import DataLoader

from pathfuse.cohort.cohort import Cohort, Rows
from pathfuse.cohort.folds.parts import Parts
from pathfuse.cohort.label_map import NamedMap
from pathfuse.core import Batch, DataSpec, ModalitySpec
from pathfuse.data.bags.dataset import BagSet
from pathfuse.data.bags.features import BagTable, Fact, open_bags
from pathfuse.data.bags.packed import CaseFacts, Sampling
from pathfuse.data.bags.pairs import ClassPairs, PairedBagSet, Pairing
from pathfuse.data.bags.source import read_bag_cases
from pathfuse.data.cohort_data import CohortData, Part
from pathfuse.data.loading.loader import case_loader
from pathfuse.data.option_checks import check_at_least, check_one_source, check_positive
from pathfuse.demo.bags import DemoBags
from pathfuse.errors import RecipeError, StoreError

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
        check_one_source({"root": root, "cases": cases, "stores": stores})
        if (stores is None) != (labels_table is None):
            other = "labels_table" if labels_table is None else "stores"
            raise RecipeError(f"data.stores and data.labels_table belong together; add data.{other}.")
        check_at_least("patches_per_bag", patches_per_bag, 1, ", or null for all")
        check_at_least("eval_patches_per_bag", eval_patches_per_bag, 1, ", or null for all")
        check_positive("mpp", mpp)
        check_positive("patch_size_level0", patch_size_level0)
        super().__init__(
            tuple(modalities) if modalities is not None else tuple(stores or ("he", "ihc")),
            batch_size=batch_size,
            num_workers=num_workers,
            parts=Parts(split, splits, repeat, fold, val_fraction, test_fraction, seed=seed, test_on=test_on),
            label_map=label_map,
            classes=classes,
            cache=cache,
        )
        self.root = root
        self.cases = cases
        self.stores = stores
        self.labels_table = labels_table
        self.label_column = label_column
        self.patches_per_bag = patches_per_bag
        self.eval_patches_per_bag = eval_patches_per_bag
        self.dtype = dtype
        self.mpp = mpp
        self.patch_size_level0 = patch_size_level0
        self.pairing: Pairing = pairing
        self.require = tuple(require)
        self.labels = labels
        self.missing = missing
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

    @cached_property
    def cohort(self) -> Cohort:
        """The cases with their parts; opens every file's header on first use."""
        return self._divided(self._bags.table, after=self._size_note())

    @cached_property
    def _bags(self) -> BagTable:
        table = read_bag_cases(
            root=self.root,
            cases=self.cases,
            stores=self.stores,
            labels_table=self.labels_table,
            label_column=self.label_column,
            modalities=self.modalities,
            classes=self._own_classes(),
            mpp=self.mpp,
            demo=self.demo,
            cache=self.cache,
        )
        return open_bags(
            self._merged(table),
            self.modalities,
            missing=self.missing,
            labels=self.labels,
            require=self.require,
            patch_size_level0=self.patch_size_level0,
        )

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

    def _loader(self, index: Rows, part: Part) -> DataLoader[Batch]:
        training = part == "train"
        sampling = Sampling(self.patches_per_bag, self.seed)
        if not training:
            sampling = Sampling(self.eval_patches_per_bag, self.seed, by_epoch=False)
        cases = self.cohort.cases
        made_for = self._model_widths()
        slides = [self._bags.slides[case.case_id] for case in cases]
        widths = {m: self._bags.widths[m] or made_for.get(m, 0) for m in self.modalities}
        facts, dtype = CaseFacts.of(self.cohort), _DTYPES[self.dtype]
        pairs = self._pairs(index) if training else None
        data = (
            BagSet(slides, widths, facts, index, sampling=sampling, dtype=dtype)
            if pairs is None
            else PairedBagSet(slides, widths, facts, pairs, sampling=sampling, dtype=dtype)
        )
        sampler = self._ordered(data, training and self.pairing != "class_static")
        return case_loader(
            data,
            sampler,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            seed=self.seed,
            persistent=part in ("train", "val"),
        )

    def _pairs(self, index: Rows) -> ClassPairs | None:
        if self.pairing == "case":
            return None
        cases = self.cohort.cases
        lends = {m: np.array([m in self._bags.slides[case.case_id] for case in cases]) for m in self.modalities}
        static = self.pairing == "class_static"
        origin, targets = self.cohort.origin, self.cohort.targets()
        return ClassPairs(origin, targets, self.cohort.classes, lends, index, seed=self.seed, static=static)
