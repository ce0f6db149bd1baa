"""Batches and models for the tests of this plug-in."""

from __future__ import annotations

import torch
from torch import nn

from pathfuse.core import Batch, DataSpec, ModalitySpec, Model
from pathfuse_corranet.decoder import ReconstructionHead
from pathfuse_corranet.encoder import StainEncoder
from pathfuse_corranet.fusion import SEAttention
from pathfuse_corranet.norm import NormAct

PAIR = ("he", "ihc")
THREE = ("he", "her2", "ki67")


def spec_of(stains=PAIR, size=16, width=3):
    modalities = tuple(ModalitySpec(m, "image", width, size) for m in stains)
    return DataSpec(modalities, ("0", "1"), (3, 3))


def model_of(stains=PAIR, *, seed=0, encoder=None, fusion=None, head=None, dtype=torch.float64):
    """Encoder without stem, fusion and decoders; the dictionaries are their options."""
    torch.manual_seed(seed)
    spec = spec_of(stains)
    enc = StainEncoder(spec, **{"dim": 8, "stem": "none", **(encoder or {})})
    fus = SEAttention(enc.out, spec, **(fusion or {}))
    model = Model(enc, fus, ReconstructionHead(fus.out, spec, **(head or {}))).to(dtype)
    for module in model.modules():
        if isinstance(module, NormAct):  # a black image stays on one side of the kink of ReLU
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return model


def batch_of(stains=PAIR, *, rows=4, size=16, seed=1, dtype=torch.float64, **absent):
    """Random images; `absent` names, per stain, the rows that are missing."""
    generator = torch.Generator().manual_seed(seed)
    x = {m: torch.rand(rows, 3, size, size, generator=generator, dtype=torch.float64).to(dtype) for m in stains}
    present = {m: torch.tensor([row not in absent.get(m, ()) for row in range(rows)]) for m in stains}
    names = tuple(f"case{row}" for row in range(rows))
    return Batch(x, present, torch.zeros(rows, dtype=torch.long), names, names)
