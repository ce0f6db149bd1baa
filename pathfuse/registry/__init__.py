"""The registry over entry points: a component's name is its class name is its word in a recipe."""

from pathfuse.registry.table import (
    BACKBONES,
    DATA,
    ENCODERS,
    EXPLAINERS,
    FUSIONS,
    HEADS,
    INPUTS,
    METRICS,
    OBJECTIVES,
    REGISTRIES,
    STORES,
    Component,
    Registry,
    components,
    import_named_in,
    unknown,
)

__all__ = [
    "BACKBONES",
    "DATA",
    "ENCODERS",
    "EXPLAINERS",
    "FUSIONS",
    "HEADS",
    "INPUTS",
    "METRICS",
    "OBJECTIVES",
    "REGISTRIES",
    "STORES",
    "Component",
    "Registry",
    "components",
    "import_named_in",
    "unknown",
]
