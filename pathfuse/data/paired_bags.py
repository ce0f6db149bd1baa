"""The data module of feature bags: per case and stain, the features of all patches of all its slides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch

from pathfuse.cohort import CaseTable, Cohort, Positions
from pathfuse.cohort.sources.stores import with_features
from pathfuse.core import ModalitySpec
from pathfuse.data.bags.dataset import BagSet
from pathfuse.data.bags.features import Fact, open_bags
from pathfuse.data.bags.packed import CaseFacts, Sampling
from pathfuse.data.bags.pairs import ClassPairs, PairedBagSet, Pairing
from pathfuse.data.contract import Batches, CaseData, Part
from pathfuse.data.loading.sampler import EpochSampler
from pathfuse.data.option_checks import check_at_least, check_modalities, check_positive
from pathfuse.demo.pictures import BagPictures
from pathfuse.errors import RecipeError, StoreError
from pathfuse.store.read import suffixes

_PICTURES = BagPictures()
BIG = 2 << 30  # bytes of one bag in memory from which a note says so
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class PairedBags(CaseData):
    """Bags of patch features, from the files that TRIDENT, CLAM, STAMP, eva, WSMCL, MADELEINE and torchmil write.

    A case has per stain any number of slides; their patches make one bag. A stain without patches is absent by mask.
    Every stain may come from another store and encoder. Which patches are drawn depends on seed, epoch and case alone.

    Args:
        cohort: the cases; their files are feature files, or slides whose features lie in `stores`. A case without any
            patch is left out and named, or an error with `missing: error`.
        modalities: stains to read; null takes those of `cohort.stores`, else he and ihc.
        patches_per_bag: in training, at most so many patches of each case and stain, drawn anew each epoch without
            replacement; null takes all.
        eval_patches_per_bag: the same for validation, test and prediction, with one draw for all; null takes all.
        dtype: type of the features in a batch.
        patch_size_level0: edge of a patch in level-0 pixels, where the file does not say.
        pairing: what a training case is made of. `case`: the stains of one case. `class`: a bag of each stain from
            cases of one class, drawn anew each epoch and equally often for every class; `class_static`: drawn once and
            in the order of the classes, as released with WSMCL.
        require: facts that every slide must state: coords, patch_size_level0, mpp, encoder.
        pictures: what is drawn of the demo cohort.
    """

    reads_stores = True
    example_options: ClassVar[Mapping[str, object]] = {"pictures": BagPictures(slides=1, grid=2, patch_px=8)}

    def __init__(
        self,
        cohort: Cohort,
        *,
        modalities: Sequence[str] | None = None,
        patches_per_bag: int | None = None,
        eval_patches_per_bag: int | None = None,
        dtype: Literal["float32", "float16", "bfloat16"] = "float32",
        patch_size_level0: float | None = None,
        pairing: Pairing = "case",
        require: Sequence[Fact] = (),
        pictures: BagPictures = _PICTURES,
    ) -> None:
        check_at_least("patches_per_bag", patches_per_bag, 1, ", or null for all")
        check_at_least("eval_patches_per_bag", eval_patches_per_bag, 1, ", or null for all")
        check_positive("patch_size_level0", patch_size_level0)
        stains = tuple(modalities) if modalities is not None else tuple(cohort.stores or ("he", "ihc"))
        check_modalities(stains)
        cohort = cohort.drawn(pictures).of_modalities(stains, checked=False)
        self._bags = open_bags(
            _named_features(cohort, stains),
            stains,
            missing=cohort.missing,
            require=require,
            patch_size_level0=patch_size_level0,
            cache=cohort.cache_folder,
        )
        super().__init__(cohort.replaced(self._bags.table))
        self.modalities = stains
        self.patches_per_bag = patches_per_bag
        self.eval_patches_per_bag = eval_patches_per_bag
        self.dtype = dtype
        self.patch_size_level0 = patch_size_level0
        self.pairing: Pairing = pairing
        self.require = tuple(require)
        self.pictures = pictures

    def modality_specs(self) -> Sequence[ModalitySpec]:
        """The stains with the width of their features, and which patches and network they are of."""
        made, edges, widths = self.encoders(), self._bags.patch_um, self._bags.widths
        return [ModalitySpec(m, "features", widths[m], encoder=made.get(m), patch_um=edges[m]) for m in self.modalities]

    def notes(self) -> list[str]:
        """Those of the cohort, and how large the largest bag is where that matters."""
        return [*super().notes(), *self._size_note()]

    def encoders(self) -> dict[str, str]:
        """Per stain, the network that its feature files name."""
        slides = [(m, slide) for own in self._bags.slides.values() for m, several in own.items() for slide in several]
        return {modality: slide.encoder for modality, slide in reversed(slides) if slide.encoder is not None}

    def _refuse_other_widths(self) -> None:
        """Refuses features of another width than the model was made for."""
        for modality in self.modalities:
            width, expected = self._bags.widths[modality], self._model_width(modality)
            if width and expected and width != expected:
                raise StoreError(
                    f"{modality} features have width {width}, but the model was made for {expected}: another encoder "
                    "made them. Extract them with the encoder of the training cohort."
                )

    def dataset(self, index: Positions, part: Part) -> Batches:
        """Packed bags, read when a batch wants them."""
        self._refuse_other_widths()
        training, seed = part == "train", self.loading.seed
        sampling = Sampling(self.patches_per_bag, seed)
        if not training:
            sampling = Sampling(self.eval_patches_per_bag, seed, by_epoch=False)
        slides = [self._bags.slides[case.case_id] for case in self.cohort]
        # A run that predicts from H&E alone needs the width of absent IHC.
        widths = {m: self._bags.widths[m] or self._model_width(m) for m in self.modalities}
        facts, dtype = CaseFacts.of(self.cohort), _DTYPES[self.dtype]
        if training and self.pairing != "case":
            return PairedBagSet(slides, widths, facts, self._pairs(index), sampling=sampling, dtype=dtype)
        return BagSet(slides, widths, facts, index, sampling=sampling, dtype=dtype)

    def sampler(self, data: Batches, index: Positions, part: Part) -> EpochSampler:
        """As usual for cases; pairs of a class come equally often by themselves, and static ones in their order."""
        if part != "train" or self.pairing == "case":
            return super().sampler(data, index, part)
        if self.loading.sampler == "balanced":
            raise RecipeError(
                f"data.pairing is {self.pairing}, which shows every class equally often. Remove loading.sampler."
            )
        plain = super().sampler(data, index, part)
        plain.shuffle = self.pairing != "class_static"
        return plain

    def _model_width(self, modality: str) -> int:
        made = {m.name: m.width for m in self.made_for.modalities} if self.made_for else {}
        return made.get(modality, 0)

    def _size_note(self) -> list[str]:
        size = {"float32": 4}.get(self.dtype, 2)
        slides = [several for case in self._bags.slides.values() for several in case.values()]
        largest = max((sum(len(s) * s.features.shape[1] for s in several) * size for several in slides), default=0)
        if largest < BIG or (self.patches_per_bag and self.eval_patches_per_bag):
            return []
        return [f"The largest bag takes {largest / 2**30:.1f} GiB as {self.dtype}; patches_per_bag bounds it."]

    def _pairs(self, index: Positions) -> ClassPairs:
        table = self.cohort.table
        lends = {m: np.array([m in self._bags.slides[case.case_id] for case in table.cases]) for m in self.modalities}
        static = self.pairing == "class_static"
        return ClassPairs(
            table.origin, table.targets(), table.classes, lends, index, seed=self.loading.seed, static=static
        )


def _refuse_slides(table: CaseTable, modalities: Sequence[str]) -> None:
    """Says of a table of slides alone that their features have to be named."""
    files = [file.path for case in table.cases for own in case.files.values() for file in own]
    if files and not any(path.suffix.lower() in suffixes() for path in files):
        from pathfuse.slides.opening import slide_suffixes  # reading features needs no reader of slides

        slides = slide_suffixes()
        if all(path.suffix.lower() in slides for path in files):
            named = ", ".join(f"{modality}: DIR" for modality in modalities)
            raise RecipeError(
                f"{table.origin.name} names slides, such as {files[0].name}, and bags are read from their features. "
                f"Extract these with `pathfuse extract`, and name them with --stores '{{{named}}}'."
            )


def _named_features(cohort: Cohort, modalities: Sequence[str]) -> CaseTable:
    """The cases with their feature files, which a table of slides leaves to `cohort.stores`.

    Raises:
        RecipeError: if a store would not be read: of a stain that is not asked for, or beside a table of features; if
            the table names slides and there is no store.
    """
    table, stores = cohort.unparted, cohort.stores or {}
    unread = [name for name in stores if name not in modalities]
    if unread:
        raise RecipeError(
            f"cohort.stores names {unread[0]!r}, but data.modalities is {', '.join(modalities)}. Read it with "
            f"--data.modalities '[{', '.join((*modalities, *unread))}]', or remove the store."
        )
    if table.kind != "case table":
        return table
    if not stores:
        _refuse_slides(table, modalities)
        return table
    endings = suffixes()
    if any(file.path.suffix.lower() in endings for case in table.cases for own in case.files.values() for file in own):
        raise RecipeError(
            f"cohort.stores is not read beside {table.origin.name}, which names the feature files itself. Remove one."
        )
    return with_features(table, {modality: Path(folder) for modality, folder in stores.items()})
