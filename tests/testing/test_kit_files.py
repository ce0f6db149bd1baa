"""Each small broken reader, rule, normaliser and store fails exactly the check that it breaks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pathfuse.errors import ImageError
from pathfuse.slides import Match, MemorySlide, Normaliser, Spacing, Tissue
from pathfuse.store import MemoryRows
from pathfuse.template.parts.normaliser import TinyNormaliser as ShiftNormaliser
from pathfuse.template.parts.reader import TinyReader as LabReader
from pathfuse.template.parts.store import TinyStore as LabStore
from pathfuse.template.parts.tissue import TinyTissue as DarkTissue
from pathfuse.testing import run_checks

SOUND = (LabReader, DarkTissue, ShiftNormaliser, LabStore)


class HidesAnOption(DarkTissue):
    """Its limit is private.

    Args:
        limit: grey level of glass.
    """

    def __init__(self, *, limit=225.0):
        self._limit = limit

    def __call__(self, overview, mpp):
        return overview.mean(axis=2) < self._limit


class PaintsInThePicture(DarkTissue):
    def __call__(self, overview, mpp):
        overview[:1] = 0
        return super().__call__(overview, mpp)


class ThrowsDice(DarkTissue):
    def __call__(self, overview, mpp):
        return super().__call__(overview, mpp) & (np.random.default_rng().random(overview.shape[:2]) < 0.95)


class CannotBeSent(DarkTissue):
    def __init__(self, *, limit=225.0):
        super().__init__(limit=limit)
        self._rule = lambda overview: overview.mean(axis=2) < limit


class TurnsTheMask(DarkTissue):
    def __call__(self, overview, mpp):
        return super().__call__(overview, mpp).T


class CallsGlassTissue(Tissue):
    def __call__(self, overview, mpp):
        return overview.mean(axis=2) < 250


class FindsNothing(DarkTissue):
    def __call__(self, overview, mpp):
        return np.zeros(overview.shape[:2], bool)


class ReturnsFloats(ShiftNormaliser):
    def __call__(self, image):
        return super().__call__(image) / 255


class HasNoReference(Normaliser):
    def __call__(self, image):
        return image


class ForgetsTheTarget(ShiftNormaliser):
    def towards(self, target):
        return ShiftNormaliser(mean=tuple(self.mean))


class PaintsOver(ShiftNormaliser):
    def towards(self, target):
        return ShiftNormaliser(mean=(0.0, 0.0, 0.0))


class FindsNoFiles(LabReader):
    suffixes = frozenset()

    def example(self, folder, pixels):
        return None


class IsCertainOfAnything(LabReader):
    def match(self, path):
        return Match.CERTAIN


class MixesUpColours(LabReader):
    def open(self, path, spacing):
        slide = super().open(path, spacing)
        return MemorySlide(path, slide.pixels[..., ::-1], slide.spacing)


class GuessesTheSpacing(LabReader):
    def open(self, path, spacing):
        return super().open(path, spacing if spacing.mpp is not None else Spacing(0.25))


class DiesOfDamage(LabReader):
    def open(self, path, spacing):
        try:
            return super().open(path, spacing)
        except ImageError as error:
            raise EOFError("unexpected end") from error


class ClaimsEveryFile(LabStore):
    def match(self, contents):
        return Match.LIKELY


class TurnsTheOrder(LabStore):
    def read(self, contents):
        slide = super().read(contents)
        return replace(slide, features=MemoryRows(slide.features.read().flip(0)))


class SwapsXAndY(LabStore):
    def read(self, contents):
        slide = super().read(contents)
        return replace(slide, coords_level0_px=MemoryRows(slide.coords_level0_px.read().flip(1)))


class InventsPlaces(LabStore):
    def write(self, slide, root):
        if slide.coords_level0_px is None:
            slide = replace(slide, coords_level0_px=MemoryRows(torch.zeros(len(slide), 2, dtype=torch.long)))
        return super().write(slide, root)


class DiesOfText(LabStore):
    def read(self, contents):
        with contents.path.open() as file:
            if len(file.readlines()) < 13:
                raise IndexError("list index out of range")
        return super().read(contents)


EXACTLY = {
    HidesAnOption: "settings_say_every_option",
    PaintsInThePicture: "pictures_are_left_alone",
    ThrowsDice: "answers_repeat",
    CannotBeSent: "answers_repeat",
    TurnsTheMask: "masks_have_the_size_of_the_overview",
    CallsGlassTissue: "empty_glass_is_no_tissue",
    FindsNothing: "tissue_is_found",
    ReturnsFloats: "images_keep_size_and_type",
    HasNoReference: "it_has_a_reference",
    ForgetsTheTarget: "its_own_colours_as_target_change_little",
    PaintsOver: "its_own_colours_as_target_change_little",
    FindsNoFiles: "suffixes_can_be_looked_for",
    IsCertainOfAnything: "it_knows_its_own_files",
    MixesUpColours: "pixels_are_those_of_the_file",
    GuessesTheSpacing: "spacing_is_given_or_unknown",
    DiesOfDamage: "damage_is_an_error_of_pathfuse",
    ClaimsEveryFile: "it_knows_its_own_files",
    TurnsTheOrder: "features_are_read_as_they_are",
    SwapsXAndY: "places_are_true_or_unknown",
    InventsPlaces: "nothing_is_invented",
    DiesOfText: "damage_is_an_error_of_pathfuse",
}
WITH_OTHERS = {
    PaintsInThePicture: {"masks_have_the_size_of_the_overview", "answers_repeat"},
    CallsGlassTissue: {"tissue_is_found"},
    ReturnsFloats: {"its_own_colours_as_target_change_little"},
}
"""What cannot be broken alone."""

for kind in EXACTLY:  # whoever inherits options describes them as well
    kind.__doc__ = kind.__doc__ or kind.__mro__[1].__doc__


def failures(component):
    return {result.name: result.reason for result in run_checks(component) if not result.passed}


@pytest.mark.parametrize("component", SOUND, ids=lambda component: component.__name__)
def test_sound_components_pass(component):
    assert failures(component) == {}


@pytest.mark.parametrize("component", EXACTLY, ids=lambda component: component.__name__)
def test_a_broken_component_fails_exactly_its_check(component):
    found = failures(component)
    assert EXACTLY[component] in found and set(found) <= {EXACTLY[component], *WITH_OTHERS.get(component, ())}, found
    assert all(found.values())
