"""Our own registration: coarse starts, rigid, affine, B-spline, then patch by patch."""

from __future__ import annotations

from typing import NamedTuple

from pathfuse.errors import RecipeError, RegistrationError
from pathfuse.register.compare import CLOSE_PX, EDGE_PX, STEP_PX, agreement, close_step, coarse_um, judged_um
from pathfuse.register.contract import Registration, Section
from pathfuse.register.field import Field
from pathfuse.register.improve import FEW_CLEAR, FEW_CLOSE, polished, shifted
from pathfuse.register.method.itk import bent, refined, sitk
from pathfuse.register.method.start import starts
from pathfuse.register.transform import Matrix, Transform
from pathfuse.register.views import View


class Look(NamedTuple):
    """One look at patches.

    Attributes:
        um: spacing in micrometres.
        step_px: between neighbouring patches.
        close: whether patches are small, and fewer steps are taken where there is much tissue.
        torn: whether the field may jump where patches do.
    """

    um: float
    step_px: int
    close: bool = False
    torn: bool = False


WIDE = tuple(Look(um, STEP_PX) for um in (8.0, 4.0, 2.0))
CLOSE = (Look(4.0, 12, close=True), *(Look(2.0, 8, close=True, torn=True),) * 2)


class SerialSections(Registration):
    """Registers serial or restained sections by what all stains share: where red light is absorbed.

    Args:
        starts: how many coarse placements are followed up; more find the way on slides with many like pieces.
        bend: whether sections may be bent against each other (B-spline, then patches), or only stretched.
        grid_um: distance of the B-spline's control points, at least a twentieth of the slide.
        finest_um: spacing of the last look, patch by patch. Finer looks stop by themselves where cells do not match.

    Source: mutual information: Mattes et al. 2003, doi:10.1109/TMI.2003.809072; B-splines: Rueckert et al. 1999,
        doi:10.1109/42.796284; correlation under masks by Fourier transforms: Padfield 2012,
        doi:10.1109/TIP.2011.2181402.
    Departs: the starts are ranked by texture and outline, the bending is kept only if patches agree better with it.
    """

    def __init__(self, *, starts: int = 6, bend: bool = True, grid_um: float = 400.0, finest_um: float = 2.0) -> None:
        if starts < 1 or not grid_um > 0 or not finest_um > 0:
            raise RecipeError(
                f"SerialSections: starts={starts}, grid_um={grid_um}, finest_um={finest_um}; give numbers above 0."
            )
        self.starts = starts
        self.bend = bend
        self.grid_um = grid_um
        self.finest_um = finest_um

    def register(self, fixed: Section, moving: Section) -> Transform:
        """The transform from the fixed to the moving slide.

        Raises:
            RegistrationError: if one of them has no tissue, or no placement makes them meet.
            PluginError: if SimpleITK is not installed.
        """
        sitk()  # before anything is read
        spacing = coarse_um(fixed, moving)
        for section in (fixed, moving):
            if not section.view(spacing).tissue.any():
                raise RegistrationError(f"{section.slide.path} shows no tissue. Leave it out, or look at its stain.")
        whole = self._whole(fixed.view(spacing), moving.view(spacing))
        for um in (spacing, judged_um(fixed, moving)):
            for _ in range(2):
                whole = polished(fixed.view(um), moving.view(um), whole)
        found = Transform(whole)
        if not self.bend:
            return found
        return self.bent(fixed, moving, found)

    def bent(self, fixed: Section, moving: Section, found: Transform) -> Transform:
        """A placement of the whole bent against the tissue: by a B-spline, then patch by patch."""
        return self._by_patches(fixed, moving, self._bent(fixed, moving, found))

    def _whole(self, fixed: View, moving: View) -> Matrix:
        """One affine for all of the tissue."""
        placed = [refined(fixed, moving, start.matrix, "rigid") for start in starts(fixed, moving, self.starts)]
        if not placed:
            raise RegistrationError("no turn or displacement lays one tissue on the other. Are they of one block?")
        rigid, before = max(placed, key=lambda one: one[1])
        affine, after = refined(fixed, moving, rigid, "affine")
        return affine if after > before else rigid

    def _bent(self, fixed: Section, moving: Section, found: Transform) -> Transform:
        spacing = min(WIDE[0].um, coarse_um(fixed, moving) / 2)
        ours, theirs = fixed.view(spacing), moving.view(spacing)
        displacement = bent(ours, theirs, found.matrix, grid_um=self.grid_um)
        changed = Transform(found.matrix, Field(displacement, ours.pitch))
        # Another measure than the one that was optimised decides whether the bending is real.
        return changed if agreement(ours, theirs, changed) > agreement(ours, theirs, found) else found

    def _by_patches(self, fixed: Section, moving: Section, found: Transform) -> Transform:
        """Every patch to where it matches best: large patches first, then small ones, each as far as they agree."""
        for looks in (WIDE, CLOSE):
            for look in looks:
                moved = self._look(fixed, moving, found, look)
                if moved is None:
                    break
                found = moved
        return found

    def _look(self, fixed: Section, moving: Section, found: Transform, look: Look) -> Transform | None:
        if look.um < max(self.finest_um, 0.7 * max(fixed.slide.mpp, moving.slide.mpp)):
            return None
        if fixed.spacing(look.um) > 1.5 * look.um:
            return None  # before it is read: the finer, the longer
        ours, theirs = fixed.view(look.um), moving.view(look.um)
        step = close_step(ours, look.step_px) if look.close else look.step_px
        if step is None:
            return None
        edge, least = (CLOSE_PX, FEW_CLOSE) if look.close else (EDGE_PX, FEW_CLEAR)
        return shifted(ours, theirs, found, edge=edge, step=step, least=least, torn=look.torn)
