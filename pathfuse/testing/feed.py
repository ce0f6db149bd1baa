"""Input of a component under check, and the ways in which a check disturbs it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import pairwise
from typing import TypeVar, cast

import torch
from torch import Tensor

from pathfuse.core import Bags, Batch, Fused, Tokens

T = TypeVar("T")


@dataclass(frozen=True)
class Feed:
    """B cases, as far as a slot reads them: the batch, and tokens or a joint embedding made for it."""

    batch: Batch
    tokens: dict[str, Tokens] = field(default_factory=dict)
    fused: Fused | None = None

    def __len__(self) -> int:
        return len(self.batch)

    def fill(self, value: float) -> Feed:
        """The same cases with `value` in everything that is absent."""
        batch = self.batch
        for name in batch.modalities:
            batch = batch.fill(name, value)
        tokens = {name: _fill_token(token, value) for name, token in self.tokens.items()}
        return Feed(batch, tokens, None if self.fused is None else _fill_fused(self.fused, value))

    def select(self, rows: list[int]) -> Feed:
        """Some of the cases; repeats allowed."""
        index = torch.tensor(rows, dtype=torch.long)
        tokens = {name: _select_token(token, index) for name, token in self.tokens.items()}
        return Feed(self.batch.select(index), tokens, None if self.fused is None else _select_fused(self.fused, index))

    def cast(self, dtype: torch.dtype) -> Feed:
        """The same cases in another floating type."""
        return _map(self, lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)

    def unlabelled(self, rows: list[int]) -> Feed:
        """The same cases with unknown labels in some rows."""
        target = self.batch.target.clone()
        target[rows] = -1
        return replace(self, batch=replace(self.batch, target=target))


def shuffled(feed: Feed, seed: int = 0) -> tuple[Feed, dict[str, Tensor]]:
    """The same bags with their patches in another order, and per stain the order: new position to old one."""
    generator = torch.Generator().manual_seed(seed)
    orders = {
        name: _within_bags(payload, generator) for name, payload in feed.batch.x.items() if isinstance(payload, Bags)
    }
    batch = feed.batch
    for name, order in orders.items():
        bags = cast(Bags, batch.x[name])
        moved = replace(bags, values=bags.values[order], slide=_at(bags.slide, order), coords=_at(bags.coords, order))
        batch = replace(batch, x={**batch.x, name: moved})
    tokens = {
        name: replace(token, values=token.values[orders[name]], score=_at(token.score, orders[name]))
        if token.lengths is not None
        else token
        for name, token in feed.tokens.items()
    }
    return replace(feed, batch=batch, tokens=tokens), orders


def _within_bags(bags: Bags, generator: torch.Generator) -> Tensor:
    offsets = bags.offsets.tolist()
    parts = [start + torch.randperm(stop - start, generator=generator) for start, stop in pairwise(offsets)]
    return torch.cat([*parts, torch.arange(0)])


def _at(values: Tensor | None, order: Tensor) -> Tensor | None:
    return None if values is None else values[order]


def _fill_rows(values: Tensor, present: Tensor, value: float) -> Tensor:
    rows = present.view(-1, *[1] * (values.dim() - 1))
    return torch.where(rows, values, values.new_tensor(value))


def _fill_token(token: Tokens, value: float) -> Tokens:
    if token.lengths is None:
        return replace(token, values=_fill_rows(token.values, token.present, value))
    owner = torch.repeat_interleave(token.lengths)
    present = token.present[owner]  # (T,)
    score = None if token.score is None else _fill_rows(token.score, present, value)
    return replace(token, values=_fill_rows(token.values, present, value), score=score)


def _fill_fused(fused: Fused, value: float) -> Fused:
    tokens = {name: _fill_token(token, value) for name, token in fused.tokens.items()}
    own = {name: _fill_rows(fused.by_modality[name], token.present, value) for name, token in tokens.items()}
    return replace(fused, embedding=_fill_rows(fused.embedding, fused.present, value), tokens=tokens, by_modality=own)


def _select_token(token: Tokens, index: Tensor) -> Tokens:
    if token.lengths is None:
        return Tokens(token.values[index], token.present[index])
    bags = Bags(token.values, token.lengths).select(index)
    score = None if token.score is None else Bags(token.score, token.lengths).select(index).values
    return Tokens(bags.values, token.present[index], bags.lengths, score)


def _select_fused(fused: Fused, index: Tensor) -> Fused:
    return Fused(
        fused.embedding[index],
        fused.present[index],
        {name: value[index] for name, value in fused.by_modality.items()},
        {name: _select_token(token, index) for name, token in fused.tokens.items()},
    )


def _map(value: T, move: object) -> T:
    """The same structure with a function applied to every tensor in it."""
    return cast(T, _mapped(value, move))


def _mapped(value: object, move: object) -> object:
    if isinstance(value, Tensor):
        assert callable(move)
        return move(value)
    if isinstance(value, dict):
        return {key: _mapped(item, move) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{item.name: _mapped(getattr(value, item.name), move) for item in fields(value)})
    return value
