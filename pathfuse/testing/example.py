"""Examples: a component with the options it is checked with, and the model around it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

from torch import nn

from pathfuse.cohort import Cohort
from pathfuse.core import Backbone, DataSpec, Encoder, Explainer, Fusion, Head, ImageInput, Metric, Model, Objective
from pathfuse.data.contract import CaseData
from pathfuse.errors import PluginError
from pathfuse.register.contract import Registration
from pathfuse.slides.normalise import Normaliser
from pathfuse.slides.reader import SlideReader
from pathfuse.slides.tissue import Tissue
from pathfuse.store import Store
from pathfuse.testing.reference import (
    ReferenceBackbone,
    ReferenceEncoder,
    ReferenceFusion,
    ReferenceHead,
    ReferenceInput,
    tiny_model,
)
from pathfuse.testing.reference_attention import tiny_bag_model

SLOTS: dict[str, type] = {
    "data": CaseData,
    "backbone": Backbone,
    "input": ImageInput,
    "encoder": Encoder,
    "fusion": Fusion,
    "head": Head,
    "objective": Objective,
    "explainer": Explainer,
    "metric": Metric,
    "reader": SlideReader,
    "tissue": Tissue,
    "normaliser": Normaliser,
    "registration": Registration,
    "store": Store,
}
SIZES = dict.fromkeys(SLOTS, 0) | {"data": 1, "backbone": 1, "input": 1, "encoder": 1, "fusion": 2, "head": 2}
"""Leading positional arguments of a constructor; everything after them is an option."""

_TINY: dict[type, Callable[..., object]] = {
    Backbone: ReferenceBackbone,
    ImageInput: ReferenceInput,
    Encoder: ReferenceEncoder,
    Fusion: ReferenceFusion,
    Head: ReferenceHead,
}


@dataclass(frozen=True)
class Example:
    """A component with the options it is checked with.

    Args:
        component: the class.
        options: keyword arguments of its constructor. An option without default that takes another component, or
            one for each modality by name, gets the smallest one there is.
        size_px: edge of the images it is given.
        model: builds the model that an objective or explainer works on, and that `stage:` references of any
            component become.
        expected_failures: name of a check to the reason why the component fails it. A check that passes all the
            same is reported.
        cohort: of a data module, the cohort that it is built on, or what makes one from a folder that it may put files
            in; None takes a few patients of the demo cohort.

    A class may carry defaults for all but the first as attributes `example_options`, `example_size_px`,
    `example_model` and `example_cohort` (static methods) and `known_failures`, so that `pathfuse plugins check NAME`
    can build it.
    """

    component: type
    options: Mapping[str, object] = field(default_factory=dict)
    size_px: int | None = None
    model: Callable[[DataSpec], Model] | None = None
    expected_failures: Mapping[str, str] | None = None
    cohort: Cohort | Callable[[Path], Cohort] | None = None

    @property
    def name(self) -> str:
        """Name of the class."""
        return self.component.__name__

    @property
    def slot(self) -> str:
        """The slot that it fills.

        Raises:
            PluginError: if it subclasses none of the contracts.
        """
        for slot, contract in SLOTS.items():
            if isinstance(self.component, type) and issubclass(self.component, contract):
                return slot
        kinds = ", ".join(contract.__name__ for contract in SLOTS.values())
        raise PluginError(f"{self.component!r} is no component that can be checked. Subclass one of {kinds}.")

    @property
    def edge(self) -> int:
        """Edge of the images in pixels."""
        return self.size_px or int(getattr(self.component, "example_size_px", 32))

    @property
    def failures(self) -> Mapping[str, str]:
        """Checks that are known to fail, and why."""
        if self.expected_failures is not None:
            return self.expected_failures
        known: Mapping[str, str] = getattr(self.component, "known_failures", {})
        return known

    def surroundings(self, spec: DataSpec) -> Model:
        """The model for objectives, explainers and `stage:` references."""
        build = self.model or getattr(self.component, "example_model", None)
        if build is not None:
            model: Model = build(spec)
            return model
        if any(modality.in_bags for modality in spec.modalities) and self.slot == "explainer":
            return tiny_bag_model(spec)
        attends = bool(getattr(self.component, "attends", False))
        return tiny_model(spec, keep_map=self.slot not in ("objective", "explainer"), attends=attends)

    def build(self, *sizes: object) -> object:
        """The component."""
        options = {**getattr(self.component, "example_options", {}), **self.options}
        specs = [size for size in sizes if isinstance(size, DataSpec)]
        names = specs[0].names if specs else ()
        missing = {name: value for name, value in self._fillable(names).items() if name not in options}
        return self.component(*sizes, **missing, **options)

    @property
    def required(self) -> list[str]:
        """The options of the constructor that have no default."""
        return [
            name
            for name, parameter in parameters_of(self.component).items()
            if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
        ]

    @property
    def unsaid(self) -> list[str]:
        """Those of them that the example gives no value and the kit cannot fill."""
        said = {**getattr(self.component, "example_options", {}), **self.options, **self._fillable(("he",))}
        return [name for name in self.required if name not in said]

    def _fillable(self, modalities: Sequence[str]) -> dict[str, object]:
        required = self.required
        if not required:
            return {}
        hints = get_type_hints(self.component.__init__)  # type: ignore[misc]
        found = {name: _smallest(hints.get(name), modalities) for name in required}
        return {name: value for name, value in found.items() if value is not None}


def as_example(component: type | Example) -> Example:
    """The class itself with its own defaults, or the example as given."""
    return component if isinstance(component, Example) else Example(component)


def parameters_of(component: type) -> dict[str, inspect.Parameter]:
    """What the constructor takes; nothing if the class and its parents in pathfuse define none."""
    inherited = component.__init__ in (nn.Module.__init__, object.__init__)  # type: ignore[misc]
    return {} if inherited else dict(inspect.signature(component).parameters)


def _smallest(hint: object, modalities: Sequence[str]) -> object | None:
    arguments = get_args(hint)
    made = arguments[-1] if arguments else None
    if get_origin(hint) is dict:
        one = _smallest(made, ())
        return dict.fromkeys(modalities, one) if one else None
    return _TINY.get(made) if isinstance(made, type) else None
