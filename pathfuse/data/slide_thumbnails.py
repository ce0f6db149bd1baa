"""The data module of slide thumbnails: one image of the whole tissue per case and stain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pathfuse.cohort import Cohort
from pathfuse.data.images.augment import Augmenter
from pathfuse.data.images.prepare import Preparation
from pathfuse.data.images.thumbnail import Thumbnail
from pathfuse.data.images.thumbnail_augment import ThumbnailAugment, ThumbnailAugmenter
from pathfuse.data.option_checks import check_edge, check_positive
from pathfuse.data.paired_patches import PairedPatches
from pathfuse.demo.pictures import SlidePictures
from pathfuse.errors import RecipeError
from pathfuse.slides.tissue import tissue_rules

# Defaults of the types that a recipe has; never changed.
_STAINS = ("he", "ihc")
_AUGMENT = ThumbnailAugment()
_PICTURES = SlidePictures()


class SlideThumbnails(PairedPatches):
    """Whole slides at low resolution, one image per case and stain.

    A slide is read at `read_mpp` by area averaging, cut to its tissue, padded to a square with the colour of its own
    glass, resized once, and then read from a memory-mapped cache. Colours are left as they are.

    Args:
        cohort: the cases; their files are slides: any format of OpenSlide (with the extra `wsi`), TIFF, OME-TIFF, PNG
            or JPEG.
        modalities: stains to read.
        size_px: edge in pixels of the images that the model sees.
        read_mpp: micrometres per pixel that slides are read at.
        tissue: per stain, the rule that tells tissue from glass; null takes `he` for H&E and `ihc` for others.
        crop: cut to the box around the tissue.
        margin: what is added to each side of that box, as a fraction of its longer edge.
        normalise: stains whose colours are normalised. On IHC it changes the signal.
        targets: per stain, an image whose stain colours are the reference; H&E has a usual one.
        normaliser: the stain normaliser, as `pathfuse plugins` lists them.
        augment: random changes of training cases; null changes nothing.
        verify: recognise changed files by their contents instead of size and time, and check the cache's own.
        pictures: what is drawn of the demo cohort.

    Source: Chauhan et al., arXiv:2503.22069, whole slides of IHC at low resolution; the paper gives no numbers.
    """

    example_options: ClassVar[Mapping[str, object]] = {
        "size_px": 32,
        "pictures": SlidePictures(slide_px=64),
    }

    def __init__(
        self,
        cohort: Cohort,
        *,
        modalities: Sequence[str] = _STAINS,
        size_px: int = 1024,
        read_mpp: float = 8.0,
        tissue: dict[str, str] | None = None,
        crop: bool = True,
        margin: float = 0.02,
        normalise: Sequence[str] = (),
        targets: dict[str, str] | None = None,
        normaliser: str = "macenko",
        augment: ThumbnailAugment | None = _AUGMENT,
        verify: bool = False,
        pictures: SlidePictures = _PICTURES,
    ) -> None:
        check_edge("size_px", size_px)
        check_positive("read_mpp", read_mpp)
        if not 0 <= margin < 1:
            raise RecipeError(f"data.margin is {margin}; give a fraction from 0 to below 1.")
        self._of_cohort(cohort, modalities, pictures)
        self.size_px = size_px
        self.read_mpp = read_mpp
        self.tissue = tissue
        self.rules = tissue_rules(modalities, tissue or {}, key="data.tissue")
        self.crop = crop
        self.margin = margin
        self.normalise = tuple(normalise)
        self.targets = targets or {}
        self.normaliser = normaliser
        self.augment = augment
        self.verify = verify

    def _preparations(self) -> Mapping[str, Preparation]:
        usual = super()._preparations()
        return {modality: self._thumbnail(modality, usual[modality]) for modality in self.modalities}

    def _thumbnail(self, modality: str, usual: Preparation) -> Thumbnail:
        files = [file for case in self.cohort for file in case.files.get(modality, ())]
        return Thumbnail(
            self.size_px,
            usual.stain,
            mpp=self.read_mpp,
            crop=self.crop,
            margin=self.margin,
            rule=self.rules[modality],
            slide_mpp={str(file.path): file.mpp for file in files if file.mpp},
        )

    def _augmenter(self) -> Augmenter | None:
        if self.augment is None:
            return None
        assert isinstance(self.augment, ThumbnailAugment)
        return ThumbnailAugmenter(self.augment, self.size_px, self.loading.seed)

    def _mpp(self, modality: str) -> float | None:
        return None  # every slide is enlarged or reduced to the same size

    def _check_partners(self) -> None:
        pass  # slides of one case need not cover each other
