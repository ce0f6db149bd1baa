"""Every component that pathfuse registers keeps the contract; a new line in pyproject.toml is checked at once."""

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

from pathfuse.core import Model
from pathfuse.testing import Example, parametrize_with_checks
from pathfuse.testing.example import SLOTS

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def correlating(spec):
    """The first stage of Corr-A-Net without its stem."""
    from pathfuse_corranet.decoder import ReconstructionHead
    from pathfuse_corranet.encoder import StainEncoder
    from pathfuse_corranet.fusion import SEAttention

    encoder = StainEncoder(spec, dim=8, stem="none")
    fusion = SEAttention(encoder.out, spec)
    return Model(encoder, fusion, ReconstructionHead(fusion.out, spec), spec)


def mapping(spec):
    """A stage that predicts the last stain from the others."""
    from pathfuse_mil.encoder import BagEncoder
    from pathfuse_mil.pool import MeanPool
    from pathfuse_teach.stain_map import StainMapHead

    encoder = BagEncoder(spec, modalities=[spec.names[0]])
    fusion = MeanPool(encoder.out, spec)
    return Model(encoder, fusion, StainMapHead(fusion.out, spec, target=spec.names[-1]), spec)


NEEDS = {
    "MappedStain": {"options": {"checkpoint": "stage:map"}, "model": mapping},
    "CorrelatedRepresentation": {"options": {"checkpoint": "stage:correlate"}, "model": correlating},
    "CorrelationObjective": {"model": correlating},
    "ReleasedObjective": {"model": correlating},
    "StainEncoder": {"options": {"stem": "none", "dim": 8}},
    "TimmBackbone": {"options": {"name": "resnet10t"}},
}
OF_FULL_SIZE = "pathfuse_foundation."
"""Up to a billion weights each, all of one class: tests/plugins/pathfuse_foundation checks it at small sizes."""


def registered():
    groups = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]
    for slot in SLOTS:
        for name, target in groups.get(f"pathfuse.{slot}", {}).items():
            if target.startswith(OF_FULL_SIZE):
                continue
            yield Example(EntryPoint(name, target, slot).load(), **NEEDS.get(name, {}))


@parametrize_with_checks(*registered())
def test_first_party_component_conforms(check):
    check()
