"""The data module of labelled patches: images of one stain, each with a class of its own, to train a patch encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pathfuse.cohort import Cohort, Positions
from pathfuse.cohort.presence import refuse_several
from pathfuse.core import Batch, ModalitySpec
from pathfuse.data.contract import Batches, CaseData, Part
from pathfuse.data.images.augment import Augment, Augmenter
from pathfuse.data.images.dataset import PairedImages
from pathfuse.data.images.decode import Pixels, picture_of
from pathfuse.data.labelled.pixels import FittedImages, images_of
from pathfuse.data.loading.sampler import Item
from pathfuse.data.option_checks import check_edge
from pathfuse.demo.pictures import PatchPictures
from pathfuse.errors import PathfuseError

# Defaults of the types that a recipe has; never changed.
_AUGMENT = Augment(rotation=0.0, quarter_turns=True)
_PICTURES = PatchPictures()


class LabelledPatches(CaseData):
    """Patches of one stain with a class each: PatchCamelyon's HDF5 files, or a folder per class.

    Only the patches of a batch are in memory. Order and augmentation depend on seed, epoch and patch alone.

    Args:
        cohort: the patches: a folder with `NAME_{train,valid,test}_{x,y}.h5` as PatchCamelyon is published, with
            `CLASS/*.png`, with `{train,val,test}/CLASS/*.png`, or a case table. Of HDF5, `classes` says what 0, 1, ...
            mean, and the column `wsi` of `NAME_{train,valid,test}_meta.csv`, where these are there, the patient. Of the
            demo cohort, the class of a patch is its patient's score.
        modality: stain of the patches.
        size_px: edge in pixels of the images that the model sees; patches are cut square and resized.
        augment: random changes of training patches; null changes nothing.
        pictures: what is drawn of the demo cohort.

    Source: Veeling et al. 2018, arXiv:1806.03962, for PatchCamelyon.
    """

    drops_lone_case = True
    example_options: ClassVar[Mapping[str, object]] = {
        "size_px": 16,
        "pictures": PatchPictures(cases_per_patient=1, size_px=16),
    }

    def __init__(
        self,
        cohort: Cohort,
        *,
        modality: str = "he",
        size_px: int = 224,
        augment: Augment | None = _AUGMENT,
        pictures: PatchPictures = _PICTURES,
    ) -> None:
        check_edge("size_px", size_px)
        cohort = cohort.drawn(pictures).of_modalities([modality])
        refuse_several(cohort.unparted, type(self).__name__)
        super().__init__(cohort)
        self.modality = modality
        self.size_px = size_px
        self.augment = augment
        self.pictures = pictures
        self._images = FittedImages(images_of(cohort.table.cases, modality), size_px)

    def modality_specs(self) -> Sequence[ModalitySpec]:
        """One image of one stain."""
        known = {file.mpp for case in self.cohort for file in case.files[self.modality]}
        mpp = known.pop() if len(known) == 1 else None
        seen = None if mpp is None else mpp * self._images.images.edge_px() / self.size_px
        return [ModalitySpec(self.modality, "image", 3, self.size_px, seen)]

    def picture(self, case_id: str) -> dict[str, Pixels]:
        """The patch as the model sees it, at most 512 px wide."""
        return {self.modality: picture_of(self._images[self.cohort.table.position(case_id)])}

    def dataset(self, index: Positions, part: Part) -> Batches:
        """Batches of patches, read when they are wanted."""
        table = self.cohort.table
        augmented = part == "train" and self.augment is not None
        return _Patches(
            {self.modality: self._images},
            {self.modality: table.having(self.modality)},
            table.targets(),
            [case.case_id for case in table.cases],
            [case.patient_id for case in table.cases],
            index,
            size_px=self.size_px,
            augment=Augmenter(self.augment, self.size_px, self.loading.seed) if augmented and self.augment else None,
        )


class _Patches(PairedImages):
    """As its base, but what cannot be read is handed on, and the loader raises it as the one line it is."""

    def __getitems__(self, wanted: Sequence[Item | int]) -> Batch | PathfuseError:  # type: ignore[override]
        try:
            return super().__getitems__(wanted)
        except PathfuseError as error:
            return error
