"""The registry over entry points: a component's name is its class name is its word in a recipe."""

from pathfuse.registry.api import API
from pathfuse.registry.build import build, settings_of
from pathfuse.registry.cards import Card, card_of, cards, read_cards
from pathfuse.registry.component import Component
from pathfuse.registry.match import Match, not_working, surest, working
from pathfuse.registry.table import (
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
    REGISTRIES,
    STORES,
    TISSUES,
    Registry,
    components,
    forget_installed,
    import_named_in,
    unknown,
)
from pathfuse.registry.used import note_use, recording, software_of

__all__ = [
    "API",
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
    "REGISTRIES",
    "STORES",
    "TISSUES",
    "Card",
    "Component",
    "Match",
    "Registry",
    "build",
    "card_of",
    "cards",
    "components",
    "forget_installed",
    "import_named_in",
    "not_working",
    "note_use",
    "read_cards",
    "recording",
    "settings_of",
    "software_of",
    "surest",
    "unknown",
    "working",
]
