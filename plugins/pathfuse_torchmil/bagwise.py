"""The base of torchmil's networks here: one bag at a time, every modality by itself, then the modalities joined."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pathfuse.core import Batch, DataSpec, Fused, TokenSpec
from pathfuse.nn import Bag, How, NestedFusion, Pooled, PoolFusion, at_least_float, packed_tokens


@dataclass(frozen=True)
class OneBag:
    """What a network makes of one bag of n patches.

    Attributes:
        embedding: (D',).
        attention: (n,) weight of every patch; None where it was not asked for.
        extra: (rows, K) what the network's own loss needs, if it has one.
    """

    embedding: Tensor
    attention: Tensor | None
    extra: Tensor | None = None


class BagwiseFusion(PoolFusion):
    """A network for every modality, asked bag by bag; subclasses say what it makes of a bag.

    torchmil pads bags to one length; one bag at a time needs no mask, and no case reaches another.

    Args:
        tokens: sizes of the encoder's tokens.
        spec: sizes of the data.
        make: builds the network for patches of a width.
        fusion: joins the pooled modalities; None joins them as `join` says.
        join: how, without a fusion.
        dims: widths of what the networks return; None is those of the patches.
    """

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        make: Callable[[int], nn.Module],
        fusion: NestedFusion | None,
        join: How,
        dims: Mapping[str, int] | None = None,
    ) -> None:
        packed = packed_tokens(tokens, type(self).__name__)
        widths = {name: dims[name] for name in packed} if dims else None
        super().__init__(tokens, spec, dims=widths, fusion=fusion, join=join)
        self.networks = nn.ModuleDict({name: make(token.dim) for name, token in packed.items()})

    @abstractmethod
    def pool_bag(self, network: nn.Module, bag: Tensor) -> OneBag:
        """What the network makes of one bag (n, D), n above 0."""

    def pool(self, name: str, bag: Bag) -> Pooled:
        """What the network of the modality makes of every bag."""
        network = self.networks[name]
        dtype = next(network.parameters()).dtype
        embedding = bag.values.new_zeros(len(bag.lengths), self.out.by_modality[name].dim, dtype=dtype)  # (B, D')
        there = bag.lengths.nonzero().flatten()
        if not len(there):
            return Pooled(embedding, embedding.new_zeros(0))
        made = [
            self.pool_bag(network, rows.to(dtype))
            for rows in torch.split(bag.values, bag.lengths.tolist())
            if len(rows)
        ]
        weights = [one.attention.to(dtype) for one in made if one.attention is not None]
        return Pooled(
            embedding.index_copy(0, there, torch.stack([one.embedding.to(dtype) for one in made])),
            torch.cat(weights) if len(weights) == len(made) else None,
            _rows(name, made, there),
        )

    def row_cross_entropy(self, fused: Fused, batch: Batch) -> Tensor:
        """Cross-entropy of `extra` as logits against the class of its case, averaged over rows, cases and modalities.

        0, still attached to the graph, if there is no labelled case.
        """
        losses = [fused.embedding.sum() * 0]
        count = 0
        for name in self.networks:
            if f"{name}/rows" not in fused.extra:
                continue
            logits, owner = at_least_float(fused.extra[f"{name}/rows"]), fused.extra[f"{name}/owner"]
            target = batch.target[owner]  # (rows,)
            rows = torch.bincount(owner)  # (B,)
            loss = F.cross_entropy(logits, target, ignore_index=-1, reduction="none")
            losses.append((loss / rows[owner]).sum())
            count += int((rows > 0)[batch.target[: len(rows)] >= 0].sum())
        return torch.stack(losses).sum() / max(1, count)


def _rows(name: str, made: list[OneBag], cases: Tensor) -> dict[str, Tensor]:
    """What the losses of the networks need, and the case of every row of it."""
    known = [(one.extra, case) for one, case in zip(made, cases, strict=True) if one.extra is not None]
    if not known:
        return {}
    owner = torch.cat([case.expand(len(rows)) for rows, case in known])
    return {f"{name}/rows": torch.cat([rows for rows, _ in known]), f"{name}/owner": owner}
