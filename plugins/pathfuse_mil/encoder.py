"""Bags to tokens: features as they are or projected, or patches through a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pathfuse.core import Backbone, Batch, DataSpec, Encoder, Tokens, TokenSpec
from pathfuse.core.promises import check_features, check_set
from pathfuse.errors import RecipeError
from pathfuse.nn import Bag, PartlyFrozen, check_counts, check_once, check_shares, modality_of_kind, readable
from pathfuse_mil.projection import Projection


class BagEncoder(Encoder):
    """Bags of feature vectors, as they are or each through one linear layer with ReLU.

    Args:
        spec: sizes of the data.
        dim: width after the linear layer; null hands the features on unchanged.
        dropout: part of the features that is dropped in training.
        modalities: the stains; null takes all of them.

    Source: Ilse et al. 2018, arXiv:1802.04712, for bags of embedded patches.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        dim: int | None = None,
        dropout: float = 0.0,
        modalities: list[str] | None = None,
    ) -> None:
        super().__init__()
        check_once("BagEncoder", modalities)
        check_counts("BagEncoder", {"dim": dim})
        check_shares("BagEncoder", {"dropout": dropout})
        self.dim = dim
        self.dropout = dropout
        self.modalities = modalities
        self.reads = tuple(modalities or spec.names)
        stains = [modality_of_kind(spec, modality, "features", "BagEncoder") for modality in self.reads]
        self.projections = nn.ModuleDict({stain.name: Projection(stain.width, dim, dropout) for stain in stains})
        self.out = {stain.name: TokenSpec(dim or stain.width, "packed") for stain in stains}

    def forward(self, batch: Batch) -> dict[str, Tokens]:
        """A packed token per stain."""
        return {modality: self._token(batch, modality) for modality in self.reads}

    def _token(self, batch: Batch, modality: str) -> Tokens:
        bags, present = batch.bags(modality)
        if self.dim is None and not (self.training and self.dropout):
            return Tokens(bags.values, present, bags.lengths)
        bag = readable(bags.values, bags.lengths, present)
        values = self.projections[modality](bag.values)  # (T', D)
        return Tokens(bag.spread(values, len(bags.values)), present, bags.lengths)


class PatchEncoder(PartlyFrozen):
    """Bags of patches through an image network, trained end to end or frozen.

    Args:
        spec: sizes of the data.
        backbone: the network, built once per stain, or once if shared.
        modalities: the stains; null takes all of them.
        share: use one network for all stains.
        freeze: keep the networks as they were loaded, batch statistics included.
        dim: width of a linear layer with ReLU after the network; null has none.
        dropout: part of the features that is dropped in training.
        patches_at_once: patches that go through the network in one call.
        recompute: do not keep activations for the backward pass but compute them again; slower, and memory no longer
            grows with the bag. A network with batch norm sees `patches_at_once` patches as its batch either way.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        backbone: Callable[[int], Backbone],
        modalities: list[str] | None = None,
        share: bool = False,
        freeze: bool = False,
        dim: int | None = None,
        dropout: float = 0.0,
        patches_at_once: int = 128,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        check_once("PatchEncoder", modalities)
        check_counts("PatchEncoder", {"dim": dim, "patches_at_once": patches_at_once})
        check_shares("PatchEncoder", {"dropout": dropout})
        self.modalities = modalities
        self.share = share
        self.freeze = freeze
        self.patches_at_once = patches_at_once
        self.recompute = recompute
        self.reads = tuple(modalities or spec.names)
        stains = [modality_of_kind(spec, modality, "patches", "PatchEncoder") for modality in self.reads]
        if share and len({stain.width for stain in stains}) > 1:
            sizes = ", ".join(f"{stain.name} {stain.width}" for stain in stains)
            raise RecipeError(
                f"PatchEncoder: share needs stains with the same channels, got {sizes}. Set share: false."
            )
        networks = [backbone(stain.width) for stain in (stains[:1] if share else stains)]
        for network in networks:
            check_set(network)
        self.backbones = nn.ModuleList(networks)
        if freeze:
            self.keep_frozen(self.backbones)
        self.widths = widths = [_vector_dim(network) for network in networks] * (len(stains) if share else 1)
        self.projections = nn.ModuleDict(
            {modality: Projection(width, dim, dropout) for modality, width in zip(self.reads, widths, strict=True)}
        )
        self.out = {
            modality: TokenSpec(dim or width, "packed") for modality, width in zip(self.reads, widths, strict=True)
        }

    def forward(self, batch: Batch) -> dict[str, Tokens]:
        """A packed token per stain."""
        tokens = {}
        for position, modality in enumerate(self.reads):
            bags, present = batch.bags(modality)
            bag = readable(bags.values, bags.lengths, present)
            values = self.projections[modality](self._embed(position, bag))  # (T', D)
            tokens[modality] = Tokens(bag.spread(values, len(bags.values)), present, bags.lengths)
        return tokens

    def _embed(self, position: int, bag: Bag) -> Tensor:
        network = cast(Backbone, self.backbones[0 if self.share else position])
        again = self.recompute and torch.is_grad_enabled() and not self.freeze
        parts = [
            checkpoint(network, patches, use_reentrant=False) if again else network(patches)
            for patches in torch.split(bag.values, self.patches_at_once)
            if len(patches)
        ]
        if parts:
            features = torch.cat(parts)  # (T', D)
            check_features(network, features, len(bag.values))
            return features
        return bag.values.new_zeros(0, self.widths[position])


def _vector_dim(network: Backbone) -> int:
    if network.layout != "vector":
        raise RecipeError("PatchEncoder: the backbone returns maps, and a bag holds vectors. Let it pool its maps.")
    return network.out_dim
