"""The data module of patches read from slides: per case and stain, a bag of images, for encoders trained end to end."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from torch.utils.data import DataLoader

from pathfuse.cohort.cohort import Cohort, Rows
from pathfuse.cohort.folds.parts import Parts
from pathfuse.cohort.label_map import NamedMap
from pathfuse.cohort.source import read_source
from pathfuse.cohort.table import CaseTable
from pathfuse.core import Batch, DataSpec, ModalitySpec
from pathfuse.data.bags.packed import CaseFacts, Sampling
from pathfuse.data.bags.tile_set import TileLook, TileSet, mosaic
from pathfuse.data.bags.tiles_of_cases import TileTable, place_tiles
from pathfuse.data.cohort_data import CohortData, Part
from pathfuse.data.images.augment import Augment, Augmenter
from pathfuse.data.images.decode import Pixels
from pathfuse.data.images.prepare import preparations
from pathfuse.data.loading.loader import case_loader
from pathfuse.data.option_checks import check_at_least, check_one_source, check_positive
from pathfuse.data.paired_patches import GENERATED
from pathfuse.demo.drawn import drawn
from pathfuse.demo.slides import DemoSlides, write_slides
from pathfuse.errors import RecipeError
from pathfuse.slides.grid import PatchGrid

# Defaults of the types that a recipe has; never changed.
_STAINS = ["he", "ihc"]
_NOTHING: list[str] = []
_AUGMENT = Augment(rotation=0.0, quarter_turns=True)
_DEMO = DemoSlides(patients=48, slide_px=672)
READ_MPP = 0.5  # usual for patches, and the spacing of a 20x scan


class SlidePatches(CohortData):
    """Bags of patches that are read from whole slides when a batch wants them.

    Patches lie where a feature file says, or on a grid over the tissue. Each is read from the nearest finer level by
    area averaging. A stain without tissue is absent by mask. Which patches are drawn, and how they are changed, depends
    on seed, epoch and case alone.

    Args:
        root: folder that holds `cases.csv`; null without `cases` makes the demo cohort.
        cases: case table (CSV) whose paths are slides: any format of OpenSlide (with the extra `wsi`), TIFF, OME-TIFF,
            PNG or JPEG.
        stores: per stain, a folder of feature files named after the slides; their coordinates and patch sizes are
            taken, and nothing else. Stains without get a grid over the tissue.
        modalities: stains to read.
        size_px: edge in pixels of the images that the model sees.
        read_mpp: micrometres per pixel of these images on a grid; null takes 0.5, and of the demo its own.
        overlap_px: pixels that neighbours on a grid share.
        min_tissue: share of a patch on a grid that must be tissue.
        patches_per_bag: in training, at most so many patches of each case and stain, drawn anew each epoch without
            replacement; null takes all. Memory and time of a step grow with it.
        eval_patches_per_bag: the same for validation, test and prediction, with one draw for all; null takes all.
        normalise: stains that get Macenko normalisation, each patch by its own colours. On IHC it changes the signal.
        targets: per stain, an image whose stain colours are the reference; H&E has a usual one.
        mpp: micrometres per level-0 pixel of the slides, where neither the file nor the case table says.
        batch_size: cases per batch.
        num_workers: processes that decode; 0 decodes in the main process.
        split: `given` keeps the parts of the source, `drawn` draws new ones by patient.
        splits: file of folds, as `pathfuse data split` writes it, instead of the parts of the source; null without.
        repeat: which repeat of `splits`, from 0.
        fold: which fold of that repeat, from 0.
        val_fraction: fraction of the training patients drawn for validation when the source has no such part.
        test_fraction: fraction of the patients drawn for the test when the source has no parts.
        seed: of the parts, the order, the drawn patches and the augmentation.
        labels: `required`: a case without a label is an error; `optional`: it is used without.
        missing: `error`: a case that lacks a stain is an error; `allow`: a stain may lack everywhere; null: every stain
            must be there for some case. A case without any patch is left out and named, or an error with `error`.
        label_map: merges labels: `zero_low_high` or `positive`, with `_ish` by the column `ish` where a 2+ needs it, or
            what each label becomes ("" leaves its cases out). `classes` then names the merged ones.
        classes: label names in the order of the class index; null takes 0, 1+, 2+, 3+ for HER2 and else the alphabet.
        test_on: `test` tests on the test part, `all` on every case: for a cohort that the model never saw.
        augment: random changes of training patches, each by a draw of its own; null changes nothing.
        cache: folder of the places of patches and of the demo cohort; null takes the platform's cache folder.
        demo: the generated cohort, used when there is neither `root` nor `cases`.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        cases: str | None = None,
        stores: dict[str, str] | None = None,
        modalities: list[str] = _STAINS,
        size_px: int = 224,
        read_mpp: float | None = None,
        overlap_px: int = 0,
        min_tissue: float = 0.5,
        patches_per_bag: int | None = 32,
        eval_patches_per_bag: int | None = 128,
        normalise: list[str] = _NOTHING,
        targets: dict[str, str] | None = None,
        mpp: float | None = None,
        batch_size: int = 2,
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
        demo: DemoSlides = _DEMO,
    ) -> None:
        check_one_source({"root": root, "cases": cases})
        check_at_least("size_px", size_px, 1)
        check_at_least("patches_per_bag", patches_per_bag, 1, ", or null for all")
        check_at_least("eval_patches_per_bag", eval_patches_per_bag, 1, ", or null for all")
        check_positive("read_mpp", read_mpp)
        check_positive("mpp", mpp)
        if not 0 <= overlap_px < size_px or not 0 < min_tissue <= 1:
            raise RecipeError(
                f"data.overlap_px is {overlap_px} and data.min_tissue {min_tissue}; give less than size_px, and a "
                "share above 0, at most 1."
            )
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
        self.stores = stores or {}
        for name in self.stores:
            if name not in self.modalities:
                raise RecipeError(
                    f"data.stores names {name!r}, but the stains are {', '.join(self.modalities)}. Correct one."
                )
        spacing = read_mpp or (demo.mpp if root is None and cases is None else READ_MPP)
        self.grid = PatchGrid(size_px, spacing, overlap_px, min_tissue)
        self.size_px = size_px
        self.patches_per_bag = patches_per_bag
        self.eval_patches_per_bag = eval_patches_per_bag
        self.normalise = tuple(normalise)
        self.targets = targets or {}
        self.mpp = mpp
        self.labels = labels
        self.missing = missing
        self.augment = augment
        self.demo = demo

    def spec(self) -> DataSpec:
        """The stains, the classes, and how many labelled training cases each class has."""
        stains = (
            ModalitySpec(m, "patches", 3, self.size_px, self._placed.mpp(m, self.size_px)) for m in self.modalities
        )
        return DataSpec(tuple(stains), tuple(self.cohort.classes), self.cohort.class_counts())

    def prepare_data(self) -> None:
        """Finds the tissue of all slides; on several ranks, one of each machine does."""
        self.cohort  # noqa: B018

    @cached_property
    def cohort(self) -> Cohort:
        """The cases with their parts; finds the patches of every slide on first use."""
        generated = self.root is None and self.cases is None
        return self._divided(self._placed.table, before=[GENERATED] if generated else [])

    def picture(self, case_id: str) -> dict[str, Pixels]:
        """Some patches of each stain, side by side, as the model sees them without augmentation."""
        self.cohort.position(case_id)
        return {m: mosaic(slides, m, self._look) for m, slides in self._placed.slides[case_id].items()}

    @cached_property
    def _placed(self) -> TileTable:
        return place_tiles(
            self._merged(self._table()),
            self.modalities,
            stores={m: Path(folder) for m, folder in self.stores.items()},
            grid=self.grid,
            cache=self.cache / "places",
            missing=self.missing,
            labels=self.labels,
        )

    def _table(self) -> CaseTable:
        # `missing` and `labels` are judged when it is known which slides have tissue.
        path = self.root or self.cases
        table = read_source(
            drawn(self.demo, self.cache, write_slides, "slides") if path is None else Path(path),
            modalities=self.modalities,
            classes=self._own_classes(),
            labels="optional",
            missing="allow",
            mpp=self.mpp,
        )
        return replace(table, modalities=tuple(m for m in self.modalities if any(c.files.get(m) for c in table.cases)))

    @cached_property
    def _look(self) -> TileLook:
        ready = preparations(self.modalities, self.size_px, self.normalise, self.targets)
        return TileLook(self.size_px, {m: ready[m].stain for m in self.modalities})

    def _loader(self, index: Rows, part: Part) -> DataLoader[Batch]:
        training = part == "train"
        sampling = Sampling(self.patches_per_bag, self.seed)
        if not training:
            sampling = Sampling(self.eval_patches_per_bag, self.seed, by_epoch=False)
        augment = Augmenter(self.augment, self.size_px, self.seed) if training and self.augment is not None else None
        data = TileSet(
            [self._placed.slides[case.case_id] for case in self.cohort.cases],
            self._look,
            CaseFacts.of(self.cohort),
            index,
            sampling=sampling,
            augment=augment,
        )
        return case_loader(
            data,
            self._ordered(data, training),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            seed=self.seed,
            persistent=part in ("train", "val"),
        )
