"""Decoders that rebuild every stain from the joint map."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from pathfuse.core import DataSpec, Fused, FusedSpec, Head, Prediction
from pathfuse.errors import RecipeError
from pathfuse_corranet.encoder import ConvStack
from pathfuse_corranet.norm import Activation, activate, slope_of


class Decoder(nn.Module):
    """Two layers of half and a quarter of the width, then a convolution to the width of the view.

    Args:
        dim: channels of the joint map.
        width: channels of the view.
        slope: factor on negative values between the layers, 0 for ReLU.
        output: what is done to the result.
        output_slope: slope of `leaky` at the output.
    """

    def __init__(self, dim: int, width: int, *, slope: float, output: str, output_slope: float) -> None:
        super().__init__()
        self.layers = ConvStack((dim, max(1, dim // 2), max(1, dim // 4)), slope=slope)
        self.last = nn.Conv2d(max(1, dim // 4), width, 3, padding=1)
        self.output = output
        self.output_slope = output_slope

    def forward(self, hidden: Tensor) -> Tensor:
        """The joint map (B, D, H, W) to a view (B, C, H, W)."""
        view: Tensor = self.last(self.layers(hidden))
        return torch.sigmoid(view) if self.output == "sigmoid" else activate(view, self.output_slope)


class ReconstructionHead(Head):
    """Rebuilds every stain, or its stem features, from h(Z). It classifies nothing.

    Args:
        decoders: `per_view` gives every stain its own decoder; `shared` has one, whose output stands for all.
        activation: between the layers, `relu` or `leaky`.
        output_activation: at the end: `none` (linear), `relu`, `leaky` or `sigmoid`.
        leaky_slope: slope of `leaky`.

    Source: Dutta et al. 2025, figure 7.
    Departs: the released code runs one decoder and duplicates its output (`shared`), with leaky ReLU at the end.
    """

    needs_labels = False

    def __init__(
        self,
        fused: FusedSpec,
        spec: DataSpec,
        *,
        decoders: Literal["per_view", "shared"] = "per_view",
        activation: Literal["relu", "leaky"] = "relu",
        output_activation: Activation | Literal["sigmoid"] = "none",
        leaky_slope: float = 0.01,
    ) -> None:
        super().__init__()
        widths = _widths(fused, spec)
        self.views = tuple(widths)
        self.shared = decoders == "shared"
        if self.shared and len(set(widths.values())) != 1:
            raise RecipeError(
                "model.head.decoders: shared needs stains of one width, these have "
                f"{', '.join(f'{m} {w}' for m, w in widths.items())}; use per_view"
            )
        slope = slope_of(activation, leaky_slope)
        output_slope = 1.0 if output_activation == "sigmoid" else slope_of(output_activation, leaky_slope)
        names = ("shared",) if self.shared else self.views
        self.decoders = nn.ModuleDict(
            {
                name: Decoder(
                    fused.dim,
                    widths[self.views[0] if self.shared else name],
                    slope=slope,
                    output=output_activation,
                    output_slope=output_slope,
                )
                for name in names
            }
        )

    def forward(self, fused: Fused) -> Prediction:
        """A view (B, C, H, W) per stain."""
        hidden = fused.embedding
        if not bool(fused.present.all()):
            # A case without any stain may hold anything, and must not enter the batch statistics.
            hidden = torch.where(fused.present.view(-1, 1, 1, 1), hidden, 0.0)
        return Prediction(fused.present, reconstructions=self.decode(hidden))

    def decode(self, hidden: Tensor) -> dict[str, Tensor]:
        """The joint map (B, D, H, W) to a view per stain."""
        if self.shared:
            view = self.decoders["shared"](hidden)
            return {m: view for m in self.views}
        return {m: self.decoders[m](hidden) for m in self.views}


def _widths(fused: FusedSpec, spec: DataSpec) -> dict[str, int]:
    if fused.layout != "map":
        raise RecipeError(
            f"model.head: ReconstructionHead decodes maps, the fusion gives a {fused.layout}; use SEAttention"
        )
    sources = {m: token.source_dim for m, token in fused.by_modality.items()} or {m: None for m in spec.names}
    return {m: width if width is not None else spec[m].width for m, width in sources.items()}
