"""Small models and batches for the tests of WSMCL."""

import torch

from pathfuse.core import (
    Bags,
    Batch,
    DataSpec,
    ModalitySpec,
    Model,
    SupervisedObjective,
)
from pathfuse_wsmcl.encoder import NystromEncoder
from pathfuse_wsmcl.heads import StainHeads
from pathfuse_wsmcl.macl import MACL

K = 4


def spec_of(classes=4, **widths):
    modalities = tuple(ModalitySpec(name, "features", width) for name, width in widths.items())
    return DataSpec(modalities, tuple(map(str, range(classes))), (1,) * classes)


def model_of(widths, head=None, macl=None, **encoder):
    torch.manual_seed(0)
    spec = spec_of(**widths)
    built = NystromEncoder(spec, **{"dropout": 0.0, **encoder})
    fusion = MACL(built.out, spec, **{"k": K, **(macl or {})})
    return Model(built, fusion, StainHeads(fusion.out, spec, **(head or {})), spec)


def batch_of(lengths, width=32, absent=(), dtype=torch.float32):
    """Bags of these lengths per stain; `absent` names (stain, case) whose payload is there but not present."""
    generator = torch.Generator().manual_seed(1)
    x, present = {}, {}
    for name, sizes in lengths.items():
        values = torch.randn(sum(sizes), width, generator=generator).to(dtype)
        x[name] = Bags(values, torch.tensor(sizes))
        present[name] = torch.tensor([size > 0 and (name, row) not in absent for row, size in enumerate(sizes)])
    cases = len(next(iter(lengths.values())))
    ids = tuple(f"c{row}" for row in range(cases))
    return Batch(x, present, torch.arange(cases) % 4, ids, ids)


def losses(model, batch):
    return SupervisedObjective().losses(model, batch).terms


def gradients(model, batch):
    model.zero_grad()
    sum(losses(model, batch).values()).backward()
    return {name: p.grad for name, p in model.named_parameters()}
