"""Bags to tokens with a score per patch: projection, Nystrom self-attention and a norm for every stain."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pathfuse.core import Bags, Batch, DataSpec, Encoder, ModalitySpec, Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn import check_counts, check_once, check_shares, linear, modality_of_kind, readable
from pathfuse_wsmcl.attention import NystromAttention, Score
from pathfuse_wsmcl.streaming import Stream


class StainLayer(nn.Module):
    """What one stain goes through before the last norm: linear with GELU, then x + attention(norm(x))."""

    def __init__(self, in_dim: int, attention: NystromAttention, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.attention = attention

    def project(self, features: Tensor) -> Tensor:
        """Features (T, D) to patches (T, D'), exact even under autocast: the patches are ranked by what follows."""
        exact = self.linear.weight.dtype if self.attention.exact_score else None
        return F.gelu(linear(features, self.linear.weight, self.linear.bias, forward=exact))

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (T, D) to patches (T, D') and their scores (T,)."""
        values = self.project(features)
        normed = F.layer_norm(values, self.norm.normalized_shape, self.norm.weight, self.norm.bias, self.norm.eps)
        added, score = self.attention(normed, lengths)
        return values + added, score


class NystromEncoder(Encoder):
    """Every stain's bag through a linear layer and Nystrom self-attention; each patch gets a score.

    Patches should keep a fixed order, such as the raster of the slide: landmarks are means of consecutive patches.

    Args:
        spec: sizes of the data.
        modalities: the stains; null takes all of them.
        width: width of the patches after the linear layer; null keeps the width of the features.
        heads: attention heads, each of width / heads features, rounded down.
        landmarks: patches that stand for all others in the attention; null is half the width.
        inverse_steps: iterations of the pseudo-inverse.
        kernel: patches that the convolution of the values spans, odd; 0 leaves it out.
        dropout: on the output of the attention.
        share_norm: one last norm for all stains, as released; False gives each its own.
        share_aggregator: one linear layer and one attention for all stains.
        score: what patches are ranked by: the attention they `received`, or what the `mean_token` pays to them.
        exact_score: compute the score in full precision under mixed precision too. In bfloat16 a third of the
            selected patches can change; False is what the released code does.
        stream_above: without gradients, a bag of more patches is read in pieces: the only memory that grows with it is
            the result, 4 bytes per patch and unit of width.

    Source: WSMCL (Shi et al., Comput Med Imaging Graph 121:102502, 2025), section 2.2.
    Departs: any width and number of stains; several cases per batch, each attended to on its own; the score is exact
        under mixed precision.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        modalities: list[str] | None = None,
        width: int | None = None,
        heads: int = 8,
        landmarks: int | None = None,
        inverse_steps: int = 6,
        kernel: int = 33,
        dropout: float = 0.1,
        share_norm: bool = True,
        share_aggregator: bool = False,
        score: Score = "received",
        exact_score: bool = True,
        stream_above: int = 8192,
    ) -> None:
        super().__init__()
        check_once("NystromEncoder", modalities)
        counts = {"width": width, "heads": heads, "landmarks": landmarks, "inverse_steps": inverse_steps}
        check_counts("NystromEncoder", counts)
        check_shares("NystromEncoder", {"dropout": dropout})
        self.modalities = modalities
        self.stream_above = stream_above
        self.reads = tuple(modalities or spec.names)
        stains = [modality_of_kind(spec, modality, "features", "NystromEncoder") for modality in self.reads]
        widths = {stain.name: width or stain.width for stain in stains}
        _check(stains, widths, kernel, share_norm, share_aggregator)

        def layer(stain: ModalitySpec) -> StainLayer:
            dim = widths[stain.name]
            attention = NystromAttention(
                dim,
                heads=heads,
                dim_head=max(1, dim // heads),
                landmarks=landmarks or max(1, dim // 2),
                inverse_steps=inverse_steps,
                kernel=kernel,
                dropout=dropout,
                score=score,
                exact_score=exact_score,
            )
            return StainLayer(stain.width, attention, dim)

        shared = layer(stains[0]) if share_aggregator else None
        self.layers = nn.ModuleDict({stain.name: shared or layer(stain) for stain in stains})
        norm = nn.LayerNorm(widths[self.reads[0]]) if share_norm else None
        self.norms = nn.ModuleDict({stain.name: norm or nn.LayerNorm(widths[stain.name]) for stain in stains})
        self.out = {modality: TokenSpec(widths[modality], "packed") for modality in self.reads}

    def forward(self, batch: Batch) -> dict[str, Tokens]:
        """A packed token with scores per stain."""
        return {modality: self._token(batch, modality) for modality in self.reads}

    def _token(self, batch: Batch, modality: str) -> Tokens:
        bags, present = batch.bags(modality)
        longest = int(torch.where(present, bags.lengths, 0).max())
        if not torch.is_grad_enabled() and longest > self.stream_above:
            values, score = self._in_pieces(bags, present, modality)
            return Tokens(values, present, bags.lengths, score)
        bag, total = readable(bags.values, bags.lengths, present), len(bags.values)
        values, score = self._in_full(bag.values, bag.lengths, modality)
        return Tokens(bag.spread(values, total), present, bags.lengths, bag.spread(score, total))

    def _in_full(self, features: Tensor, lengths: Tensor, modality: str) -> tuple[Tensor, Tensor]:
        layer = self._layer(modality)
        values, score = layer(features.to(layer.linear.weight.dtype), lengths)  # (T', D), (T',)
        norm = self._norm(modality)
        return F.layer_norm(values, norm.normalized_shape, norm.weight, norm.bias, norm.eps), score

    def _in_pieces(self, bags: Bags, present: Tensor, modality: str) -> tuple[Tensor, Tensor]:
        layer, norm = self._layer(modality), self._norm(modality)
        weight = layer.linear.weight
        values = weight.new_zeros(len(bags.values), weight.shape[0])  # (T, D)
        score = weight.new_zeros(len(bags.values))  # (T,)
        stream = Stream(layer.project, layer.norm, layer.attention, norm)
        sizes = bags.lengths.tolist()
        parts = zip(
            present.tolist(),
            torch.split(bags.values, sizes),
            torch.split(values, sizes),
            torch.split(score, sizes),
            strict=True,
        )
        for there, features, rows, own in parts:
            if there:
                stream.run(features, rows, own)
        return values, score

    def _layer(self, modality: str) -> StainLayer:
        layer = self.layers[modality]
        assert isinstance(layer, StainLayer)
        return layer

    def _norm(self, modality: str) -> nn.LayerNorm:
        norm = self.norms[modality]
        assert isinstance(norm, nn.LayerNorm)
        return norm


def _check(
    stains: list[ModalitySpec],
    widths: dict[str, int],
    kernel: int,
    share_norm: bool,
    share_aggregator: bool,
) -> None:
    if kernel and (kernel < 0 or kernel % 2 == 0):
        raise RecipeError(
            f"NystromEncoder: kernel is {kernel}, and the convolution needs an odd number, or 0 for none."
        )
    sizes = ", ".join(f"{stain.name} {stain.width}" for stain in stains)
    if share_norm and len(set(widths.values())) > 1:
        raise RecipeError(f"NystromEncoder: share_norm needs stains of one width, got {sizes}. Set width.")
    if share_aggregator and len({stain.width for stain in stains}) > 1:
        raise RecipeError(
            f"NystromEncoder: share_aggregator needs features of one width, got {sizes}. Set it to false."
        )
