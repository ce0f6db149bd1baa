"""The data module of paired patches: one image per case and stain."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pathfuse.cohort import Cohort, Positions
from pathfuse.cohort.presence import refuse_several
from pathfuse.core import ModalitySpec
from pathfuse.data.contract import Batches, CaseData, Part
from pathfuse.data.images.augment import Augment, Augmenter
from pathfuse.data.images.cache import prepared_images
from pathfuse.data.images.dataset import ImageRows, PairedImages
from pathfuse.data.images.decode import Pixels, check_same_size, image_size, picture_of
from pathfuse.data.images.prepare import Preparation, preparations
from pathfuse.data.images.registered import RegisteredImages, RegisteredTable, registered_table
from pathfuse.data.option_checks import check_edge, check_modalities
from pathfuse.demo.cohort import Pictures
from pathfuse.demo.pictures import PatchPictures
from pathfuse.errors import RecipeError
from pathfuse.pairs.options import PairCut
from pathfuse.system.progress import available_cores

# Defaults of the types that a recipe has; never changed.
_STAINS = ("he", "ihc")
_NORMALISED = ("he",)
_AUGMENT = Augment()
_PICTURES = PatchPictures()
_CUT = PairCut()


class PairedPatches(CaseData):
    """Co-registered patches, one image per case and stain, from a case table or a folder of pairs.

    Images are decoded, stain-normalised, cut square and resized once, and then read from a memory-mapped cache. Order
    and augmentation depend on seed, epoch and case alone, so the number of workers changes nothing.

    With `registration`, the cases are slides, and every trusted pair of patches becomes a case of its own. Patches are
    then read from the slides when a batch wants them, and nothing is cached.

    Args:
        cohort: the cases; their files are images.
        modalities: stains to read.
        size_px: edge in pixels of the images that the model sees.
        normalise: stains whose colours are normalised.
        targets: per stain, an image whose stain colours are the reference; H&E has a usual one.
        normaliser: the stain normaliser, as `pathfuse plugins` lists them.
        augment: random changes of training cases; null changes nothing.
        verify: recognise changed files by their contents instead of size and time, and check the cache's own.
        registration: folder that `pathfuse register` wrote for the slides of the cohort; null reads images.
        cut: of registered slides, size and spacing of the patches and which pairs are trusted.
        pictures: what is drawn of the demo cohort.
    """

    drops_lone_case = True
    registration: str | None = None
    cut = _CUT
    _placed: RegisteredTable | None = None
    example_options: ClassVar[Mapping[str, object]] = {
        "size_px": 16,
        "pictures": PatchPictures(cases_per_patient=1, size_px=16),
    }

    def __init__(
        self,
        cohort: Cohort,
        *,
        modalities: Sequence[str] = _STAINS,
        size_px: int = 256,
        normalise: Sequence[str] = _NORMALISED,
        targets: dict[str, str] | None = None,
        normaliser: str = "macenko",
        augment: Augment | None = _AUGMENT,
        verify: bool = False,
        registration: str | None = None,
        cut: PairCut = _CUT,
        pictures: PatchPictures = _PICTURES,
    ) -> None:
        check_edge("size_px", size_px)
        self.registration = registration
        self.cut = cut
        self._of_cohort(cohort, modalities, pictures)
        self.size_px = size_px
        self.normalise = tuple(normalise)
        self.targets = targets or {}
        self.normaliser = normaliser
        self.augment = augment
        self.verify = verify

    def _of_cohort(self, cohort: Cohort, modalities: Sequence[str], pictures: Pictures) -> None:
        check_modalities(modalities)
        if self.registration is not None and (cohort.generated or cohort.shuffled):
            raise RecipeError(
                "data.registration needs the case table of its slides in cohort.cases, and no cohort.shuffled: cut "
                "pairs with `pathfuse pairs` to shuffle them."
            )
        cohort = cohort.drawn(pictures).of_modalities(modalities)
        if self.registration is not None:
            self._placed = registered_table(cohort.unparted, modalities, Path(self.registration), self.cut)
            cohort = cohort.replaced(self._placed.table)
        refuse_several(cohort.unparted, type(self).__name__)
        super().__init__(cohort)
        self.modalities = tuple(modalities)
        self.pictures = pictures
        self._images: dict[str, ImageRows] | None = None

    def modality_specs(self) -> Sequence[ModalitySpec]:
        """One image per stain."""
        return [ModalitySpec(m, "image", 3, self.size_px, self._mpp(m)) for m in self.modalities]

    def prepare_data(self) -> None:
        """Fills the cache; on several ranks, one of each machine does."""
        self._prepare()

    def picture(self, case_id: str) -> dict[str, Pixels]:
        """The prepared images of a case, as the model sees them, at most 512 px wide."""
        table = self.cohort.table
        position = table.position(case_id)
        rows = {m: table.having(m)[position] for m in self.modalities}
        return {m: picture_of(self._prepare()[m][row]) for m, row in rows.items() if row >= 0}

    def dataset(self, index: Positions, part: Part) -> Batches:
        """Batches gathered from the cache."""
        table = self.cohort.table
        return PairedImages(
            self._prepare(),
            {m: table.having(m) for m in self.modalities},
            table.targets(),
            [case.case_id for case in table.cases],
            [case.patient_id for case in table.cases],
            index,
            size_px=self.size_px,
            augment=self._augmenter() if part == "train" else None,
        )

    def workers(self, part: Part) -> int:
        """None without augmentation: passing a batch between processes takes longer than reading one from the cache."""
        if self._placed is not None:
            return self.loading.num_workers
        return self.loading.num_workers if part == "train" and self.augment is not None else 0

    def _preparations(self) -> Mapping[str, Preparation]:
        return preparations(self.modalities, self.size_px, self.normalise, self.targets, self.normaliser)

    def _augmenter(self) -> Augmenter | None:
        return None if self.augment is None else Augmenter(self.augment, self.size_px, self.loading.seed)

    def _mpp(self, modality: str) -> float | None:
        files = [case.files[modality][0] for case in self.cohort if modality in case.files]
        known = {file.mpp for file in files}
        mpp = known.pop() if len(known) == 1 else None
        if self._placed is not None:
            return self.cut.mpp * self.cut.patch_px / self.size_px
        return None if mpp is None else mpp * min(image_size(files[0].path)) / self.size_px

    def fingerprint(self) -> str:
        """SHA-256 over cases, labels, parts and files, and over the registrations that pairs are read by."""
        whole = super().fingerprint()
        return whole if self._placed is None else hashlib.sha256(f"{whole} {self._placed.digest}".encode()).hexdigest()

    def _prepare(self) -> dict[str, ImageRows]:
        if self._images is None and self._placed is not None:
            ready = self._preparations()
            placed = self._placed.patches.items()
            self._images = {m: RegisteredImages(own, self.cut.patch_px, ready[m]) for m, own in placed if own}
        if self._images is None:
            ready = self._preparations()
            workers = max(self.loading.num_workers, available_cores())
            check = functools.cache(self._check_partners)
            cache, verify = self.cohort.cache_folder, self.verify
            self._images = {
                m: prepared_images(
                    files, ready[m], cache, verify=verify, workers=workers, title=f"{m} images", before=check
                )
                for m in self.modalities
                if (files := [case.files[m][0].path for case in self.cohort if m in case.files])
            }
        return self._images

    def _check_partners(self) -> None:
        for case in self.cohort:
            check_same_size([files[0].path for files in case.files.values()])
