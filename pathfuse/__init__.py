"""pathfuse: a plug-in framework for multi-modal pathology.

What is listed here is public; docs/api.md says what that promises. A name is imported when it is first asked for, so
`import pathfuse` stays without torch.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

from pathfuse.errors import did_you_mean

if TYPE_CHECKING:  # the same names for editors and type checkers; a test compares the two
    from pathfuse.cohort import Case, Cohort
    from pathfuse.core import (
        Backbone,
        Bags,
        Batch,
        Column,
        DataSpec,
        Encoder,
        Explainer,
        Fused,
        FusedSpec,
        Fusion,
        Head,
        ImageInput,
        Metric,
        ModalitySpec,
        Model,
        Objective,
        Outcome,
        Prediction,
        SlideInfo,
        SupervisedObjective,
        Tokens,
        TokenSpec,
    )
    from pathfuse.data.contract import CaseData
    from pathfuse.data.loading.options import Loading
    from pathfuse.data.samples import Draw, SampleData
    from pathfuse.errors import PathfuseError
    from pathfuse.evaluate.compare.findings import Comparison
    from pathfuse.inference.model import TrainedModel, load
    from pathfuse.inference.table import PredictionTable
    from pathfuse.register import Registration, Section, Transform
    from pathfuse.registry import (
        BACKBONES,
        DATA,
        ENCODERS,
        EXPLAINERS,
        FUSIONS,
        HEADS,
        INPUTS,
        METRICS,
        NORMALISERS,
        OBJECTIVES,
        READERS,
        REGISTRATIONS,
        STORES,
        TISSUES,
    )
    from pathfuse.report.comparing import compare
    from pathfuse.slides import Normaliser, Slide, SlideReader, Tissue
    from pathfuse.store import SlideFeatures, Store
    from pathfuse.testing import Example, parametrize_with_checks, run_checks
    from pathfuse.training.fitting import fit

__all__ = [
    "BACKBONES",
    "DATA",
    "ENCODERS",
    "EXPLAINERS",
    "FUSIONS",
    "HEADS",
    "INPUTS",
    "METRICS",
    "NORMALISERS",
    "OBJECTIVES",
    "READERS",
    "REGISTRATIONS",
    "STORES",
    "TISSUES",
    "Backbone",
    "Bags",
    "Batch",
    "Case",
    "CaseData",
    "Cohort",
    "Column",
    "Comparison",
    "DataSpec",
    "Draw",
    "Encoder",
    "Example",
    "Explainer",
    "Fused",
    "FusedSpec",
    "Fusion",
    "Head",
    "ImageInput",
    "Loading",
    "Metric",
    "ModalitySpec",
    "Model",
    "Normaliser",
    "Objective",
    "Outcome",
    "PathfuseError",
    "Prediction",
    "PredictionTable",
    "Registration",
    "SampleData",
    "Section",
    "Slide",
    "SlideFeatures",
    "SlideInfo",
    "SlideReader",
    "Store",
    "SupervisedObjective",
    "Tissue",
    "TokenSpec",
    "Tokens",
    "TrainedModel",
    "Transform",
    "__version__",
    "compare",
    "fit",
    "load",
    "parametrize_with_checks",
    "run_checks",
]

_HOME = {
    "pathfuse.cohort": ("Case", "Cohort"),
    "pathfuse.core": (
        "Backbone", "Bags", "Batch", "Column", "DataSpec", "Encoder", "Explainer", "Fused", "FusedSpec", "Fusion",
        "Head", "ImageInput", "Metric", "ModalitySpec", "Model", "Objective", "Outcome", "Prediction", "SlideInfo",
        "SupervisedObjective", "TokenSpec", "Tokens",
    ),
    "pathfuse.data.contract": ("CaseData",),
    "pathfuse.data.loading.options": ("Loading",),
    "pathfuse.data.samples": ("Draw", "SampleData"),
    "pathfuse.errors": ("PathfuseError",),
    "pathfuse.evaluate.compare.findings": ("Comparison",),
    "pathfuse.register": ("Registration", "Section", "Transform"),
    "pathfuse.registry": (
        "BACKBONES", "DATA", "ENCODERS", "EXPLAINERS", "FUSIONS", "HEADS", "INPUTS", "METRICS", "NORMALISERS",
        "OBJECTIVES", "READERS", "REGISTRATIONS", "STORES", "TISSUES",
    ),
    "pathfuse.report.comparing": ("compare",),
    "pathfuse.slides": ("Normaliser", "Slide", "SlideReader", "Tissue"),
    "pathfuse.store": ("SlideFeatures", "Store"),
    "pathfuse.testing": ("Example", "parametrize_with_checks", "run_checks"),
    "pathfuse.training.fitting": ("fit",),
    "pathfuse.inference.model": ("TrainedModel", "load"),
    "pathfuse.inference.table": ("PredictionTable",),
}  # fmt: skip


def __getattr__(name: str) -> object:
    """Imports a public name from its home, and keeps it."""
    if name == "__version__":
        from importlib.metadata import version

        found: object = version("pathfuse")
    else:
        home = next((module for module, names in _HOME.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}.{_meant(name)}")
        found = getattr(import_module(home), name)
    globals()[name] = found
    return found


@lru_cache  # jsonargparse looks here for every type it meets, many times
def _meant(name: str) -> str:
    return did_you_mean(name, __all__)


def __dir__() -> list[str]:
    """The public names; what is not imported yet is among them."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
