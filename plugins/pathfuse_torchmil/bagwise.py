"""What all networks of torchmil share here: one bag at a time, every stain by itself, then the stains joined."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pathfuse.core import Batch, DataSpec, Fused, FusedSpec, Fusion, Tokens, TokenSpec
from pathfuse.errors import RecipeError

How = Literal["mean", "concat"]
NestedFusion = Callable[[dict[str, TokenSpec], DataSpec], Fusion]


@dataclass(frozen=True)
class Pooled:
    """What a network makes of one bag of n patches.

    Attributes:
        embedding: (D',).
        attention: (n,) weight of every patch; None where it was not asked for.
        extra: (rows, K) what the network's own loss needs, if it has one.
    """

    embedding: Tensor
    attention: Tensor | None
    extra: Tensor | None = None


class BagwiseFusion(Fusion):
    """A network for every stain, asked bag by bag; subclasses say what it makes of a bag.

    torchmil pads bags to one length; one bag at a time needs no mask, and no case reaches another.
    """

    def _build(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        make: Callable[[int], nn.Module],
        dims: dict[str, int],
        fusion: NestedFusion | None,
        join: How,
    ) -> None:
        """Builds a network per stain with `make(width)`; `dims` are the widths of what they return."""
        asked_by = type(self).__name__
        for name, token in tokens.items():
            if token.layout != "packed":
                raise RecipeError(f"{asked_by} pools bags, and {name} is a {token.layout}. Use an encoder for bags.")
        self.join = join
        self.networks = nn.ModuleDict({name: make(token.dim) for name, token in tokens.items()})
        own = {name: TokenSpec(dims[name], "vector") for name in tokens}
        self.dims = dims
        self.fusion = fusion(own, spec) if fusion else None
        if self.fusion:
            self.out = replace(self.fusion.out, by_modality=own)
            return
        if join == "mean" and len(set(dims.values())) > 1:
            sizes = ", ".join(f"{name} {dim}" for name, dim in dims.items())
            raise RecipeError(f"{asked_by}: the stains differ in width ({sizes}). Set join: concat.")
        self.out = FusedSpec(sum(dims.values()) if join == "concat" else next(iter(dims.values())), "vector", own)

    @abstractmethod
    def pool(self, network: nn.Module, bag: Tensor) -> Pooled:
        """What the network makes of one bag (n, D), n above 0."""

    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The joint embedding; `attention` holds the weight (T,) of every patch, 0 in absent rows."""
        pooled, attention = {}, {}
        extra: dict[str, Tensor] = {}
        for name, token in tokens.items():
            pooled[name], weight, more = self._stain(name, token)
            extra |= more
            if weight is not None:
                attention[name] = weight
        inner = self.fusion(pooled) if self.fusion else _joined(pooled, self.join)
        own = {name: token.values for name, token in pooled.items()}
        return replace(inner, by_modality=own, tokens=tokens, attention=attention, extra={**inner.extra, **extra})

    def loss(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """The terms of the nested fusion."""
        return self.fusion.loss(fused, batch) if self.fusion else {}

    def _stain(self, name: str, token: Tokens) -> tuple[Tokens, Tensor | None, dict[str, Tensor]]:
        assert token.lengths is not None
        network = self.networks[name]
        dtype = next(network.parameters()).dtype
        present = token.present & (token.lengths > 0)
        embedding = token.values.new_zeros(len(present), self.dims[name], dtype=dtype)  # (B, D')
        rows, attention, extra, owner = [], [], [], []
        for case, (bag, there) in enumerate(
            zip(torch.split(token.values, token.lengths.tolist()), present.tolist(), strict=True)
        ):
            if not there:
                attention.append(embedding.new_zeros(len(bag)))
                continue
            made = self.pool(network, bag.to(dtype))
            rows.append(made.embedding.to(dtype))
            if made.attention is not None:
                attention.append(made.attention.to(dtype))
            if made.extra is not None:
                extra.append(made.extra)
                owner.append(present.new_full((len(made.extra),), case, dtype=torch.long))
        if rows:
            embedding = embedding.index_copy(0, present.nonzero().flatten(), torch.stack(rows))
        more = {}
        if extra:
            more = {f"{name}/rows": torch.cat(extra), f"{name}/owner": torch.cat(owner)}
        weight = torch.cat(attention) if len(attention) == len(present) else None
        return Tokens(embedding, present), weight, more

    def row_cross_entropy(self, fused: Fused, batch: Batch) -> Tensor:
        """Cross-entropy of `extra` as logits against the class of its case, averaged over rows, cases and stains.

        0, still attached to the graph, if there is no labelled case.
        """
        losses = [fused.embedding.sum() * 0]
        count = 0
        for name in self.networks:
            if f"{name}/rows" not in fused.extra:
                continue
            logits, owner = fused.extra[f"{name}/rows"], fused.extra[f"{name}/owner"]
            logits = logits if logits.dtype.itemsize >= 4 else logits.float()
            target = batch.target[owner]  # (rows,)
            rows = torch.bincount(owner)  # (B,)
            loss = F.cross_entropy(logits, target, ignore_index=-1, reduction="none")
            losses.append((loss / rows[owner]).sum())
            count += int((rows > 0)[batch.target[: len(rows)] >= 0].sum())
        return torch.stack(losses).sum() / max(1, count)


def _joined(tokens: dict[str, Tokens], how: How) -> Fused:
    present = torch.stack([token.present for token in tokens.values()])  # (stains, B)
    values = [token.values for token in tokens.values()]  # zeros where absent
    if how == "concat":
        return Fused(torch.cat(values, 1), present.any(0))
    return Fused(torch.stack(values).sum(0) / present.sum(0).clamp(min=1)[:, None], present.any(0))
