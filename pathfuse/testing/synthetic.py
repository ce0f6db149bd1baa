"""Random batches, tokens and embeddings of a given size; the same seed gives the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pathfuse.core import Bags, Batch, DataSpec, Fused, FusedSpec, ModalitySpec, SlideInfo, Tokens, TokenSpec

BAG = (3, 5, 2, 7, 4)


def synthetic_batch(
    spec: DataSpec, n: int = 5, seed: int = 0, *, absent: bool = False, lengths: Sequence[int] = BAG
) -> Batch:
    """A labelled batch of random images, bags or vectors.

    Args:
        spec: the modalities and classes.
        n: number of cases.
        seed: same seed, same batch.
        absent: leave out modalities: case 0 has all, then one after the other is missing, then all are, and so on.
        lengths: sizes of the bags, taken round and round; every stain starts one further.
    """
    generator = torch.Generator().manual_seed(seed)
    count = len(spec.modalities)
    values = {
        modality.name: _values(modality, [lengths[(row + shift) % len(lengths)] for row in range(n)], generator)
        for shift, modality in enumerate(spec.modalities)
    }
    present = {name: torch.ones(n, dtype=torch.bool) for name in spec.names}
    for row in range(n) if absent else ():
        missing = row % (count + 2)  # 0: none, 1 to count: one stain, count + 1: all
        for position, name in enumerate(spec.names):
            present[name][row] = missing not in (position + 1, count + 1)
    for name, value in values.items():
        if isinstance(value, Bags):
            present[name] &= value.lengths > 0
    cases = tuple(f"case-{row}" for row in range(n))
    target = torch.arange(n) % len(spec.classes)
    patients = tuple(f"patient-{row // 2}" for row in range(n))
    return Batch(values, present, target, cases, patients, torch.arange(n))


def synthetic_tokens(specs: Mapping[str, TokenSpec], batch: Batch, seed: int = 0, size: int = 16) -> dict[str, Tokens]:
    """Random tokens for the cases of a batch, present where the stain of the same name is.

    Args:
        specs: token streams; their names are stains of the batch. Packed ones are as long as its bags.
        batch: the cases.
        seed: same seed, same tokens.
        size: edge of maps.
    """
    generator = torch.Generator().manual_seed(seed)
    tokens = {}
    for name, spec in specs.items():
        payload = batch.x[name]
        if spec.layout == "packed" and isinstance(payload, Bags):
            total = payload.values.shape[0]
            values, score = _normal((total, spec.dim), generator), torch.rand(total, generator=generator)
            tokens[name] = Tokens(values, batch.present[name], payload.lengths, score)
        else:
            tokens[name] = Tokens(_normal(_shape(len(batch), spec, size), generator), batch.present[name])
    return tokens


def synthetic_fused(spec: FusedSpec, batch: Batch, seed: int = 0, size: int = 16) -> Fused:
    """A random joint embedding, one embedding per stain, and their tokens; present where any stain is.

    Args:
        spec: sizes; the names in `by_modality` are stains of the batch.
        batch: the cases.
        seed: same seed, same embedding.
        size: edge of maps.
    """
    generator = torch.Generator().manual_seed(seed + 1)
    embedding = _normal(_shape(len(batch), TokenSpec(spec.dim, spec.layout), size), generator)
    tokens = synthetic_tokens(spec.by_modality, batch, seed, size)
    own = {name: token.values for name, token in tokens.items()}
    return Fused(embedding, torch.stack(list(batch.present.values())).any(0), own, tokens)


def _values(modality: ModalitySpec, lengths: list[int], generator: torch.Generator) -> Tensor | Bags:
    if modality.kind == "image":
        return torch.rand(len(lengths), *_image(modality), generator=generator)
    if modality.kind == "vector":
        return _normal((len(lengths), modality.width), generator)
    total = sum(lengths)
    values = (
        _normal((total, modality.width), generator)
        if modality.kind == "features"
        else torch.rand(total, *_image(modality), generator=generator)
    )
    coords = torch.randint(0, 100, (total, 2), generator=generator) * 256
    slides = tuple((SlideInfo(f"{modality.name}-{case}", 0.5, 256.0),) for case in range(len(lengths)))
    return Bags(values, torch.tensor(lengths), torch.zeros(total, dtype=torch.long), coords, slides)


def _image(modality: ModalitySpec) -> tuple[int, int, int]:
    edge = modality.size_px or 32
    return modality.width, edge, edge


def _shape(n: int, spec: TokenSpec, size: int) -> tuple[int, ...]:
    return (n, spec.dim, size, size) if spec.layout == "map" else (n, spec.dim)


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator)
