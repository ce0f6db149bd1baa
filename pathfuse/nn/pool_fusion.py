"""The base of fusion blocks that make one vector of every modality, and of those among them that pool bags."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from pathfuse.core import Batch, DataSpec, Fused, FusedSpec, Fusion, Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn.join import How, joined, joined_dim
from pathfuse.nn.packed import Bag, at_least_float, readable_token
from pathfuse.nn.vectors import cleared

NestedFusion = Callable[[dict[str, TokenSpec], DataSpec], Fusion]


class JoinedFusion(Fusion):
    """Makes one vector of every modality, which another fusion block or a plain join makes one of.

    Args:
        own: sizes of these vectors.
        spec: sizes of the data.
        fusion: joins the vectors; None joins them as `join` says.
        join: without a fusion, `mean` over the modalities that a case has, or `concat` with zeros for an absent one.
    """

    def __init__(
        self, own: dict[str, TokenSpec], spec: DataSpec, *, fusion: NestedFusion | None = None, join: How = "mean"
    ) -> None:
        super().__init__()
        self.join = join
        self.fusion = fusion(own, spec) if fusion else None
        if self.fusion:
            self.out = replace(self.fusion.out, by_modality=own)
        else:
            self.out = FusedSpec(joined_dim(own, join, type(self).__name__), "vector", own)

    def joint(
        self,
        own: Mapping[str, Tokens],
        tokens: dict[str, Tokens],
        attention: dict[str, Tensor],
        extra: Mapping[str, Tensor] | None = None,
    ) -> Fused:
        """What the block returns.

        Args:
            own: the vector (B, D) of every modality, zeros where it is absent.
            tokens: what they were made from.
            attention: per token, weights that say what the block looked at.
            extra: anything the block's own loss needs.
        """
        inner = self.fusion(dict(own)) if self.fusion else joined(dict(own), self.join)
        vectors = {name: token.values for name, token in own.items()}
        more = {**inner.extra, **(extra or {})}
        return replace(inner, by_modality=vectors, tokens=tokens, attention=attention, extra=more)

    def loss(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """The terms of the nested fusion."""
        return self.fusion.loss(fused, batch) if self.fusion else {}


@dataclass(frozen=True)
class Pooled:
    """What a block makes of the bags of one modality.

    Attributes:
        values: (B, D) one vector per case, zeros where it has no patch.
        weight: (T',) of every readable patch; None where it was not asked for.
        extra: anything the block's own loss needs.
    """

    values: Tensor
    weight: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)


class PoolFusion(JoinedFusion):
    """Pools bags and joins the modalities; subclasses say how a bag is pooled.

    A token that is a vector already is joined as it is, beside those that were pooled.

    Args:
        tokens: sizes of the encoder's tokens; one at least is packed, and none is a map.
        spec: sizes of the data.
        dims: widths of the pooled bags, by token; the others keep the width of their patches.
        fusion: joins the pooled modalities; None joins them as `join` says.
        join: without a fusion, `mean` over the modalities that a case has, or `concat` with zeros for an absent one.

    Raises:
        RecipeError: if there is a map, or no bag.
    """

    def __init__(
        self,
        tokens: Mapping[str, TokenSpec],
        spec: DataSpec,
        *,
        dims: Mapping[str, int] | None = None,
        fusion: NestedFusion | None = None,
        join: How = "mean",
    ) -> None:
        packed_tokens(tokens, type(self).__name__)
        own = {name: TokenSpec((dims or {}).get(name, token.dim), "vector") for name, token in tokens.items()}
        super().__init__(own, spec, fusion=fusion, join=join)

    @abstractmethod
    def pool(self, name: str, bag: Bag) -> Pooled:
        """What becomes of the bags of a modality."""

    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The joint embedding; `attention` holds the weight (T,) of every patch, 0 in absent rows."""
        own, attention = {}, {}
        extra: dict[str, Tensor] = {}
        for name, token in tokens.items():
            if token.lengths is None:
                own[name] = Tokens(at_least_float(cleared(token.values, token.present)), token.present)
                continue
            bag = readable_token(token)
            made = self.pool(name, bag)
            own[name] = Tokens(made.values, token.present & (bag.lengths > 0))
            if made.weight is not None:
                attention[name] = bag.spread(made.weight, len(token.values))
            extra |= made.extra
        return self.joint(own, tokens, attention, extra)


def packed_tokens(tokens: Mapping[str, TokenSpec], asked_by: str) -> dict[str, TokenSpec]:
    """The tokens that are bags, for a block that pools them.

    Raises:
        RecipeError: if there is a map, or no bag.
    """
    packed = {name: token for name, token in tokens.items() if token.layout == "packed"}
    other = next((name for name, token in tokens.items() if token.layout == "map" or not packed), None)
    if other is not None:
        raise RecipeError(f"{asked_by} pools bags, and {other} is a {tokens[other].layout}. Use an encoder for bags.")
    return packed
