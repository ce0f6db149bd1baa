"""The data module of patches read from slides: per case and stain, a bag of images, for encoders trained end to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pathfuse.cohort import Cohort, Positions
from pathfuse.core import ModalitySpec
from pathfuse.data.bags.packed import CaseFacts, Sampling
from pathfuse.data.bags.tile_set import TileLook, TileSet, mosaic
from pathfuse.data.bags.tiles_of_cases import place_tiles
from pathfuse.data.contract import Batches, CaseData, Part
from pathfuse.data.images.augment import Augment, Augmenter
from pathfuse.data.images.decode import Pixels
from pathfuse.data.images.prepare import preparations
from pathfuse.data.option_checks import check_at_least, check_edge, check_modalities, check_positive
from pathfuse.demo.pictures import SlidePictures
from pathfuse.errors import RecipeError
from pathfuse.slides.grid import PatchGrid
from pathfuse.slides.tissue import tissue_rules

# Defaults of the types that a recipe has; never changed.
_STAINS = ("he", "ihc")
_AUGMENT = Augment(rotation=0.0, quarter_turns=True)
_PICTURES = SlidePictures(slide_px=672)
READ_MPP = 0.5  # usual for patches, and the spacing of a 20x scan


class SlidePatches(CaseData):
    """Bags of patches that are read from whole slides when a batch wants them.

    Patches lie where a feature file says, or on a grid over the tissue. Each is read from the nearest finer level by
    area averaging. A stain without tissue is absent by mask. Which patches are drawn, and how they are changed, depends
    on seed, epoch and case alone.

    Args:
        cohort: the cases; their files are slides: any format of OpenSlide (with the extra `wsi`), TIFF, OME-TIFF, PNG
            or JPEG. Of its `stores`, named after the slides, the coordinates and patch sizes are taken, and nothing
            else; stains without get a grid over the tissue. A case without any patch is left out and named, or an
            error with `missing: error`.
        modalities: stains to read.
        size_px: edge in pixels of the images that the model sees.
        read_mpp: micrometres per pixel of these images on a grid; null takes 0.5, and of the demo its own.
        overlap_px: pixels that neighbours on a grid share.
        tissue: per stain, the rule that tells tissue from glass; null takes `he` for H&E and `ihc` for others.
        min_tissue: share of a patch on a grid that must be tissue.
        patches_per_bag: in training, at most so many patches of each case and stain, drawn anew each epoch without
            replacement; null takes all. Memory and time of a step grow with it.
        eval_patches_per_bag: the same for validation, test and prediction, with one draw for all; null takes all.
        normalise: stains whose colours are normalised, each patch by its own colours. On IHC it changes the signal.
        targets: per stain, an image whose stain colours are the reference; H&E has a usual one.
        normaliser: the stain normaliser, as `pathfuse plugins` lists them.
        augment: random changes of training patches, each by a draw of its own; null changes nothing.
        pictures: what is drawn of the demo cohort.
    """

    reads_stores = True
    example_options: ClassVar[Mapping[str, object]] = {
        "size_px": 32,
        "read_mpp": 4.0,
        "pictures": SlidePictures(slide_px=64),
    }

    def __init__(
        self,
        cohort: Cohort,
        *,
        modalities: Sequence[str] = _STAINS,
        size_px: int = 224,
        read_mpp: float | None = None,
        overlap_px: int = 0,
        tissue: dict[str, str] | None = None,
        min_tissue: float = 0.5,
        patches_per_bag: int | None = 32,
        eval_patches_per_bag: int | None = 128,
        normalise: Sequence[str] = (),
        targets: dict[str, str] | None = None,
        normaliser: str = "macenko",
        augment: Augment | None = _AUGMENT,
        pictures: SlidePictures = _PICTURES,
    ) -> None:
        check_modalities(modalities)
        check_edge("size_px", size_px)
        check_at_least("patches_per_bag", patches_per_bag, 1, ", or null for all")
        check_at_least("eval_patches_per_bag", eval_patches_per_bag, 1, ", or null for all")
        check_positive("read_mpp", read_mpp)
        if not 0 <= overlap_px < size_px or not 0 < min_tissue <= 1:
            raise RecipeError(
                f"data.overlap_px is {overlap_px} and data.min_tissue {min_tissue}; give less than size_px, and a "
                "share above 0, at most 1."
            )
        for name in cohort.stores or ():
            if name not in modalities:
                raise RecipeError(
                    f"cohort.stores names {name!r}, but the stains are {', '.join(modalities)}. Correct one."
                )
        spacing = read_mpp or (pictures.mpp if cohort.generated else READ_MPP)
        self.grid = PatchGrid(size_px, spacing, overlap_px, min_tissue)
        cohort = cohort.drawn(pictures).of_modalities(modalities, checked=False)
        self._placed = place_tiles(
            cohort.unparted,
            modalities,
            stores={m: Path(folder) for m, folder in (cohort.stores or {}).items()},
            grid=self.grid,
            rules=tissue_rules(modalities, tissue or {}, key="data.tissue"),
            cache=cohort.cache_folder / "places",
            missing=cohort.missing,
        )
        super().__init__(cohort.replaced(self._placed.table))
        self.modalities = tuple(modalities)
        self.tissue = tissue
        self.size_px = size_px
        self.patches_per_bag = patches_per_bag
        self.eval_patches_per_bag = eval_patches_per_bag
        self.normalise = tuple(normalise)
        self.targets = targets or {}
        self.normaliser = normaliser
        self.augment = augment
        self.pictures = pictures

    def modality_specs(self) -> Sequence[ModalitySpec]:
        """A bag of images per stain."""
        return [ModalitySpec(m, "patches", 3, self.size_px, self._placed.mpp(m, self.size_px)) for m in self.modalities]

    def picture(self, case_id: str) -> dict[str, Pixels]:
        """Some patches of each stain, side by side, as the model sees them without augmentation."""
        self.cohort.table.position(case_id)
        return {m: mosaic(slides, m, self._look) for m, slides in self._placed.slides[case_id].items()}

    def dataset(self, index: Positions, part: Part) -> Batches:
        """Packed bags of patches, decoded when a batch wants them."""
        training, seed = part == "train", self.loading.seed
        sampling = Sampling(self.patches_per_bag, seed)
        if not training:
            sampling = Sampling(self.eval_patches_per_bag, seed, by_epoch=False)
        return TileSet(
            [self._placed.slides[case.case_id] for case in self.cohort],
            self._look,
            CaseFacts.of(self.cohort),
            index,
            sampling=sampling,
            augment=Augmenter(self.augment, self.size_px, seed) if training and self.augment is not None else None,
        )

    @cached_property
    def _look(self) -> TileLook:
        ready = preparations(self.modalities, self.size_px, self.normalise, self.targets, self.normaliser)
        return TileLook(self.size_px, {m: ready[m].stain for m in self.modalities})
