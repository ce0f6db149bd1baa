"""Pictures of the demo cohort: what is drawn of its patients, as patches, slides, bags or serial sections."""

from __future__ import annotations

from dataclasses import dataclass

from pathfuse.demo.options import at_least
from pathfuse.errors import RecipeError


@dataclass(frozen=True)
class PatchPictures:
    """Co-registered patches.

    Args:
        cases_per_patient: patches of each patient; each is a case with an image of every stain.
        size_px: edge of the square images in pixels.
        mpp: micrometres per pixel of the images.
        shift_px: largest shift of every further stain against H&E along each axis, in pixels.
        rotation_deg: largest rotation of every further stain against H&E.
    """

    cases_per_patient: int = 4
    size_px: int = 64
    mpp: float = 1.0
    shift_px: float = 0.0
    rotation_deg: float = 0.0

    def __post_init__(self) -> None:
        at_least("cases_per_patient", self.cases_per_patient, 1)
        at_least("size_px", self.size_px, 8)
        for name in ("shift_px", "rotation_deg"):
            at_least(name, getattr(self, name), 0)
        if not 0.05 <= self.mpp <= 4:
            raise RecipeError(f"demo cohort: mpp is {self.mpp}; cells can be drawn from 0.05 to 4 µm per pixel.")


@dataclass(frozen=True)
class SlidePictures:
    """Whole slides at low magnification.

    Args:
        cases_per_patient: tissue blocks of each patient; each is a case with a slide of each stain.
        slide_px: edge of the square slides in pixels.
        mpp: micrometres per pixel of the slides; from 2 on cells average out, and so they are drawn.
    """

    cases_per_patient: int = 1
    slide_px: int = 384
    mpp: float = 4.0

    def __post_init__(self) -> None:
        at_least("cases_per_patient", self.cases_per_patient, 1)
        if self.slide_px < 64:
            raise RecipeError(f"demo slides: slide_px is {self.slide_px}; give at least 64.")
        if not 2 <= self.mpp <= 16:
            raise RecipeError(f"demo slides: mpp is {self.mpp}; slides can be drawn from 2 to 16 µm per pixel.")


@dataclass(frozen=True)
class BagPictures:
    """Bags of patch features.

    Args:
        cases_per_patient: tissue blocks of each patient; each is a case with slides of its own.
        slides: largest number of slides of a case and stain; from one up to so many are drawn.
        grid: patches along each edge of the region that a slide shows; those on glass are left out.
        patch_px: edge of a patch in pixels, a multiple of 8.
        mpp: micrometres per pixel of the patches.
        tumour: share of tumour on a slide, against that of the patient's patches; only tumour carries the score.
    """

    cases_per_patient: int = 1
    slides: int = 2
    grid: int = 6
    patch_px: int = 32
    mpp: float = 1.0
    tumour: float = 0.8

    def __post_init__(self) -> None:
        at_least("cases_per_patient", self.cases_per_patient, 1)
        for name in ("slides", "grid"):
            if getattr(self, name) < 1:
                raise RecipeError(f"demo bags: {name} is {getattr(self, name)}; give at least 1.")
        if self.patch_px < 8 or self.patch_px % 8:
            raise RecipeError(f"demo bags: patch_px is {self.patch_px}; give a multiple of 8.")
        if not 0.05 <= self.mpp <= 4:
            raise RecipeError(f"demo bags: mpp is {self.mpp}; cells can be drawn from 0.05 to 4 µm per pixel.")
        if not 0 < self.tumour <= 1:
            raise RecipeError(f"demo bags: tumour is {self.tumour}; give a fraction above 0, at most 1.")


@dataclass(frozen=True)
class SerialPictures:
    """Slides of two sections of a block: the IHC is turned, bent and damaged against the H&E, and the map is known.

    Args:
        slide_px: edge of the square slides in pixels.
        mpp: micrometres per pixel of the slides.
        restained: stain the same section twice, with the same cells; else the next section has cells of its own.
        rotation_deg: largest turn of the IHC to either side.
        mirrored: share of IHC sections that lie face down.
        scale: largest relative difference in size.
        warp_um: largest bend of a section.
        lost: share of IHC sections of which a piece is missing.
        torn: share of IHC sections with a tear.
        folded: share of IHC sections with a fold, where three layers lie on each other.
    """

    slide_px: int = 1536
    mpp: float = 1.0
    restained: bool = False
    rotation_deg: float = 180.0
    mirrored: float = 0.25
    scale: float = 0.03
    warp_um: float = 30.0
    lost: float = 0.3
    torn: float = 0.3
    folded: float = 0.0

    def __post_init__(self) -> None:
        if self.slide_px < 256:
            raise RecipeError(f"demo serial: slide_px is {self.slide_px}; give at least 256.")
        if not 0.1 <= self.mpp <= 2:
            raise RecipeError(f"demo serial: mpp is {self.mpp}; cells can be drawn from 0.1 to 2 µm per pixel.")
        for name in ("mirrored", "lost", "torn", "folded"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"demo serial: {name} is {getattr(self, name)}; give a share from 0 to 1.")
