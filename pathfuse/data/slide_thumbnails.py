"""The data module of slide thumbnails: one image of the whole tissue per case and stain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pathfuse.cohort.cohort import Rows
from pathfuse.cohort.label_map import NamedMap
from pathfuse.data.images.augment import Augmenter
from pathfuse.data.images.dataset import PairedImages
from pathfuse.data.images.prepare import Preparation
from pathfuse.data.images.thumbnail import Thumbnail
from pathfuse.data.images.thumbnail_augment import ThumbnailAugment, ThumbnailAugmenter
from pathfuse.data.loading.balanced import BalancedSampler
from pathfuse.data.loading.sampler import EpochSampler
from pathfuse.data.paired_patches import PairedPatches
from pathfuse.demo.drawn import drawn
from pathfuse.demo.slides import DemoSlides, write_slides
from pathfuse.errors import RecipeError

# Defaults of the types that a recipe has; never changed.
_STAINS = ["he", "ihc"]
_NOTHING: list[str] = []
_AUGMENT = ThumbnailAugment()
_DEMO = DemoSlides()


class SlideThumbnails(PairedPatches):
    """Whole slides at low resolution, one image per case and stain.

    A slide is read at `read_mpp` by area averaging, cut to its tissue, padded to a square with the colour of its own
    glass, resized once, and then read from a memory-mapped cache. Colours are left as they are.

    Args:
        root: folder that holds `cases.csv`; null without `cases` makes the demo cohort.
        cases: case table (CSV) whose paths are slides: any format of OpenSlide (with the extra `wsi`), TIFF, OME-TIFF,
            PNG or JPEG.
        modalities: stains to read.
        size_px: edge in pixels of the images that the model sees.
        read_mpp: micrometres per pixel that slides are read at.
        crop: cut to the box around the tissue.
        margin: what is added to each side of that box, as a fraction of its longer edge.
        normalise: stains that get Macenko normalisation. On IHC it changes the signal.
        targets: per stain, an image whose stain colours are the reference; H&E has a usual one.
        mpp: micrometres per level-0 pixel of the slides, where neither the file nor the case table says.
        batch_size: cases per batch.
        num_workers: processes that augment training cases; 0 augments in the main process.
        sampler: `shuffle` shows every training case once an epoch, `balanced` every class equally often.
        split: `given` keeps the parts of the source, `drawn` draws new ones by patient.
        splits: file of folds, as `pathfuse data split` writes it, instead of the parts of the source; null without.
        repeat: which repeat of `splits`, from 0.
        fold: which fold of that repeat, from 0.
        val_fraction: fraction of the training patients drawn for validation when the source has no such part.
        test_fraction: fraction of the patients drawn for the test when the source has no parts.
        seed: of the parts, the order and the augmentation.
        labels: `required`: a case without a label is an error; `optional`: it is used without.
        missing: `error`: a case that lacks a stain is an error; `allow`: a stain may lack everywhere; null: every stain
            must be there for some case.
        label_map: merges labels: `zero_low_high` or `positive`, with `_ish` by the column `ish` where a 2+ needs it, or
            what each label becomes ("" leaves its cases out). `classes` then names the merged ones.
        classes: label names in the order of the class index; null takes 0, 1+, 2+, 3+ for HER2 and else the alphabet.
        test_on: `test` tests on the test part, `all` on every case: for a cohort that the model never saw.
        augment: random changes of training cases; null changes nothing.
        cache: folder of prepared images; null takes the platform's cache folder.
        verify: recognise changed files by their contents instead of size and time, and check the cache's own.
        demo: the generated cohort, used when there is neither `root` nor `cases`.

    Source: Chauhan et al., arXiv:2503.22069, whole slides of IHC at low resolution; the paper gives no numbers.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        cases: str | None = None,
        modalities: list[str] = _STAINS,
        size_px: int = 1024,
        read_mpp: float = 8.0,
        crop: bool = True,
        margin: float = 0.02,
        normalise: list[str] = _NOTHING,
        targets: dict[str, str] | None = None,
        mpp: float | None = None,
        batch_size: int = 8,
        num_workers: int = 2,
        sampler: Literal["shuffle", "balanced"] = "shuffle",
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
        augment: ThumbnailAugment | None = _AUGMENT,
        cache: str | None = None,
        verify: bool = False,
        demo: DemoSlides = _DEMO,
    ) -> None:
        if read_mpp <= 0 or not 0 <= margin < 1:
            raise RecipeError(
                f"data.read_mpp is {read_mpp} and data.margin {margin}; give more than 0, and a fraction below 1."
            )
        super().__init__(
            root=root,
            cases=cases,
            modalities=modalities,
            size_px=size_px,
            normalise=normalise,
            targets=targets,
            mpp=mpp,
            batch_size=batch_size,
            num_workers=num_workers,
            split=split,
            splits=splits,
            repeat=repeat,
            fold=fold,
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            seed=seed,
            labels=labels,
            missing=missing,
            label_map=label_map,
            classes=classes,
            test_on=test_on,
            augment=augment,
            cache=cache,
            verify=verify,
        )
        self.read_mpp = read_mpp
        self.crop = crop
        self.margin = margin
        self.sampler = sampler
        self.demo = demo

    def _drawn_demo(self) -> Path:
        assert isinstance(self.demo, DemoSlides)
        return drawn(self.demo, self.cache, write_slides, "slides")

    def _preparations(self) -> Mapping[str, Preparation]:
        usual = super()._preparations()
        return {modality: self._thumbnail(modality, usual[modality]) for modality in self.modalities}

    def _thumbnail(self, modality: str, usual: Preparation) -> Thumbnail:
        files = [file for case in self.cohort.cases for file in case.files.get(modality, ())]
        return Thumbnail(
            self.size_px,
            usual.stain,
            mpp=self.read_mpp,
            crop=self.crop,
            margin=self.margin,
            rule="he" if modality == "he" else "ihc",
            slide_mpp={str(file.path): file.mpp for file in files if file.mpp},
        )

    def _augmenter(self) -> Augmenter | None:
        if self.augment is None:
            return None
        assert isinstance(self.augment, ThumbnailAugment)
        return ThumbnailAugmenter(self.augment, self.size_px, self.seed)

    def _sampler(self, data: PairedImages, index: Rows, shuffle: bool) -> EpochSampler:
        if not shuffle or self.sampler == "shuffle":
            return super()._sampler(data, index, shuffle)
        ranks, rank = self._ranks()
        epoch = None if self.trainer is None else self._epoch
        targets = self.cohort.targets()[index]
        return BalancedSampler(data, targets, seed=self.seed, epoch=epoch, ranks=ranks, rank=rank)

    def _mpp(self, modality: str) -> float | None:
        return None  # every slide is enlarged or reduced to the same size

    def _check_partners(self) -> None:
        pass  # slides of one case need not cover each other
