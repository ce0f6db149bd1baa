"""Small bags, and a network of ours with a bag for it."""

import torch

from pathfuse.core import Batch, DataSpec, ModalitySpec, Tokens, TokenSpec


def spec_of(classes=3, **widths):
    modalities = tuple(ModalitySpec(name, "features", width) for name, width in widths.items())
    return DataSpec(modalities, tuple(str(index) for index in range(classes)), (2,) * classes)


def fusion_of(kind, classes=3, stains=("he",), width=6, **options):
    torch.manual_seed(0)
    tokens = {name: TokenSpec(width, "packed") for name in stains}
    return kind(tokens, spec_of(classes, **dict.fromkeys(stains, width)), **options).double()


def token_of(lengths, present=None, width=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(sum(lengths), width, generator=generator, dtype=torch.float64)
    here = torch.ones(len(lengths), dtype=torch.bool) if present is None else torch.tensor(present)
    return Tokens(values, here, torch.tensor(lengths))


def batch_of(target):
    ids = tuple(f"c{row}" for row in range(len(target)))
    return Batch({}, {}, torch.tensor(target), ids, ids)
