"""The kinds of component that a new plug-in may begin with, and what its README says to try."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

PARTS = Path(__file__).parent / "parts"
TINY = "Tiny"
_FIT = "pathfuse fit --recipe {recipe}"
_EXTRACT = "pathfuse extract SLIDES --encoder timm:resnet18 --weights random --out features"
_IMAGES = ("--cohort.demo.patients=12", "--data.pictures.cases_per_patient=1")
_BAGS = ("--cohort.demo.patients=12", "--data.pictures.grid=3")


@dataclass(frozen=True)
class Kind:
    """One slot.

    Attributes:
        slot: its name.
        what: one line on what a component of it does.
        commands: what to try; `{name}`, `{short}` and `{recipe}` are filled in, capital words are the reader's.
        small: what its recipe is trained with in a test; empty if the slot has no recipe.
    """

    slot: str
    what: str
    commands: tuple[str, ...]
    small: tuple[str, ...] = ()

    @property
    def source(self) -> Path:
        """The module of its small component."""
        return PARTS / f"{self.slot}.py"

    @property
    def recipe(self) -> Path:
        """The recipe that uses it; the file is there if the slot has one."""
        return PARTS / "recipes" / f"{self.slot}.yaml"

    @property
    def tiny(self) -> str:
        """The class in `source`."""
        return f"{TINY}{self.slot.title()}"

    def named(self, text: str, name: str) -> str:
        """Source or recipe with another class name, and with the words that follow from it.

        Args:
            text: of `source` or `recipe`.
            name: of the class.
        """
        words = {self.tiny: name, f"tiny_{self.slot}": snake(name), "tinyformat": short(name, self.slot)}
        return re.sub(r"\b(" + "|".join(words) + r")\b", lambda found: words[found[0]], text)


def snake(name: str) -> str:
    """`LabFusion` as `lab_fusion`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def short(name: str, slot: str) -> str:
    """`LabFusion` as `lab`: the name without the slot behind it."""
    return snake(name).removesuffix(slot).strip("_") or snake(name)


def _kinds(*kinds: Kind) -> Mapping[str, Kind]:
    return MappingProxyType({kind.slot: kind for kind in kinds})


KINDS = _kinds(
    Kind("backbone", "a network of images", (_FIT,), _IMAGES),
    Kind("input", "what of the stains an image encoder looks at", (_FIT,), _IMAGES),
    Kind("encoder", "a batch to tokens of every stain, here bags of patch features", (_FIT,), _BAGS),
    Kind("fusion", "tokens of several stains to one embedding of a case", (_FIT,), _BAGS),
    Kind("head", "an embedding to class scores, and the loss", (_FIT,), _BAGS),
    Kind("objective", "what a step minimises", (_FIT,), _BAGS),
    Kind(
        "explainer",
        "maps of where a model of images looked",
        ("pathfuse fit --recipe he_only --out run", "pathfuse explain run --explainer {name}"),
    ),
    Kind(
        "data",
        "what a batch is, one case at a time",
        ("pathfuse data demo cohort --patients 24", f"{_FIT} --cases cohort"),
        ("--cases=cohort",),
    ),
    Kind("metric", "predictions to a number", (_FIT,), _BAGS),
    Kind("reader", "opens slide files of a format of its own", (f"{_EXTRACT} --reader {{short}}",)),
    Kind("tissue", "which pixels of an overview are tissue", (f"{_EXTRACT} --tissue {{short}}",)),
    Kind("normaliser", "patches to patches of the same colours", (f"{_EXTRACT} --normaliser {{short}}",)),
    Kind("store", "feature files of a format of its own", ("pathfuse store convert FEATURES --to {short} --out OUT",)),
    Kind("registration", "two sections to a transform", ("pathfuse register HE IHC --method {short} --out OUT",)),
)
"""By slot, in the order of the registry."""
