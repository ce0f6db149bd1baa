"""Squeeze-and-excitation per stain, then one map for all stains."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from pathfuse.core import DataSpec, Fused, FusedSpec, Fusion, Tokens, TokenSpec
from pathfuse.errors import RecipeError
from pathfuse.nn import cleared
from pathfuse_corranet.norm import Activation, activate, slope_of


class ChannelGate(nn.Module):
    """Weighs the channels of a map by a gate computed from their means.

    Args:
        dim: channels.
        reduction: the bottleneck has dim / reduction units, at least one.
        relu: ReLU in the bottleneck.

    Source: Hu et al. 2018, arXiv:1709.01507.
    """

    def __init__(self, dim: int, *, reduction: int, relu: bool) -> None:
        super().__init__()
        units = max(1, dim // reduction)
        self.fc1 = nn.Linear(dim, units)
        self.fc2 = nn.Linear(units, dim)
        self.relu = relu

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, D, H, W) to maps of the same shape."""
        hidden = self.fc1(maps.mean((2, 3)))
        gate = torch.sigmoid(self.fc2(torch.relu(hidden) if self.relu else hidden))  # (B, D)
        return maps * gate[:, :, None, None]


class SEAttention(Fusion):
    """Gates the channels of every stain, averages the stains and convolves: the correlated representation h(Z).

    An absent stain is left out of the mean. Whether it is absent is the encoder's policy: `StainEncoder` answers with
    the map of a black image unless told to drop the branch.

    Args:
        use_se: gate the channels; False is the paper's ablation without attention, everything else equal.
        reduction: the gate's bottleneck has d / reduction units, at least one. With 16 and d = 16 that is one unit,
            and a ReLU there can switch the gate off for good: 4 is steadier for new work.
        relu_in_gate: ReLU in the bottleneck.
        combine: `mean`, `sum`, or `concat` of the stains before the convolution.
        activation: after the convolution: `relu`, `leaky` or `none`.
        leaky_slope: slope of `leaky`.

    Source: Dutta et al. 2025, eq. 1 and figure 7.
    Departs: any number of stains; the released code has no ReLU in the gate and none after the convolution, and at
        d = 8 a bottleneck of no units.
    """

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        use_se: bool = True,
        reduction: int = 16,
        relu_in_gate: bool = True,
        combine: Literal["mean", "sum", "concat"] = "mean",
        activation: Activation = "relu",
        leaky_slope: float = 0.01,
    ) -> None:
        super().__init__()
        dim = _common_dim(tokens)
        self.combine = combine
        self.slope = slope_of(activation, leaky_slope)
        self.gates = nn.ModuleDict(
            {m: ChannelGate(dim, reduction=reduction, relu=relu_in_gate) if use_se else nn.Identity() for m in tokens}
        )
        self.conv = nn.Conv2d(dim * len(tokens) if combine == "concat" else dim, dim, 3, padding=1)
        self.out = FusedSpec(dim, "map", by_modality=dict(tokens))

    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The map h(Z) (B, d, H, W) of every case."""
        attended = {m: self.gates[m](_blank_absent(tokens[m])) for m in self.gates}  # (B, d, H, W) each
        joint = self._join(list(attended.values()), [tokens[m].present for m in self.gates])
        embedding = activate(self.conv(joint), self.slope)
        anything = torch.stack([token.present for token in tokens.values()]).any(0)
        return Fused(embedding, anything, by_modality=attended, tokens=tokens)

    def _join(self, maps: list[Tensor], present: list[Tensor]) -> Tensor:
        if self.combine == "concat":
            return torch.cat(maps, 1)
        total = sum(maps[1:], maps[0])
        if self.combine == "sum":
            return total
        stains = torch.stack(present).sum(0).clamp_min(1)  # (B,)
        return total / stains.to(total.dtype).view(-1, 1, 1, 1)


def _blank_absent(token: Tokens) -> Tensor:
    if bool(token.present.all()):
        return token.values
    return cleared(token.values, token.present)


def _common_dim(tokens: dict[str, TokenSpec]) -> int:
    sizes = {(token.layout, token.dim) for token in tokens.values()}
    if len(sizes) != 1 or next(iter(sizes))[0] != "map":
        listed = ", ".join(f"{name} {token.layout} of {token.dim}" for name, token in tokens.items())
        raise RecipeError(
            f"model.fusion: SEAttention joins maps of one width, the encoder gives {listed}; use StainEncoder"
        )
    return next(iter(sizes))[1]
