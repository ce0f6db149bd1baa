"""Corr-A-Net's correlate stage as one would first write it: channels first, three passes stacked, SSIM by autograd.

It is the yardstick of `bench_correlate.py`. `tests/plugins/pathfuse_corranet/test_plain_corrnet.py` holds it to the
golden vectors, and `load` gives it the weights of the real components.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PlainEncoder(nn.Module):
    def __init__(self, width: int, dim: int):
        super().__init__()
        sizes = (width, dim // 4, dim // 2, dim)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in sizes[1:])

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        return x


class PlainGate(nn.Module):
    def __init__(self, dim: int, units: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, units), nn.Linear(units, dim)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


class PlainDecoder(nn.Module):
    def __init__(self, dim: int, width: int):
        super().__init__()
        sizes = (dim, dim // 2, dim // 4)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in sizes[1:])
        self.last = nn.Conv2d(dim // 4, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        return self.last(x)


class PlainCorrNet(nn.Module):
    def __init__(self, *, width: int = 3, dim: int = 16, units: int = 1):
        super().__init__()
        self.encoders = nn.ModuleDict({m: PlainEncoder(width, dim) for m in ("he", "ihc")})
        self.gates = nn.ModuleDict({m: PlainGate(dim, units) for m in ("he", "ihc")})
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)
        self.decoders = nn.ModuleDict({m: PlainDecoder(dim, width) for m in ("he", "ihc")})

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Both views, joined over channels, and the two gated maps."""
        h_x, h_y = self.gates["he"](self.encoders["he"](x)), self.gates["ihc"](self.encoders["ihc"](y))
        hidden = F.relu(self.conv((h_x + h_y) / 2))
        return torch.cat([self.decoders["he"](hidden), self.decoders["ihc"](hidden)], 1), h_x, h_y


def load(model: nn.Module) -> PlainCorrNet:
    """A plain network with the weights of a `pathfuse.core.Model` of the real components."""
    state = {}
    for key, value in model.state_dict().items():
        key = key.replace("encoder.branches", "encoders").replace("fusion.", "").replace("head.decoders", "decoders")
        state[key.replace(".layers.", ".")] = value
    width, dim = state["encoders.he.convs.0.weight"].shape[1], state["conv.bias"].shape[0]
    plain = PlainCorrNet(width=width, dim=dim, units=state["gates.he.fc1.bias"].shape[0])
    plain.to(state["conv.bias"].dtype).load_state_dict(state)
    return plain.train(model.training)


def loss(net: PlainCorrNet, x: Tensor, y: Tensor, *, beta: float = 0.84, lam: float = 1.5) -> Tensor:
    """joint + from_he + from_ihc - lam * correlation."""
    zero = torch.zeros_like(x)
    z, h_x, h_y = net(torch.cat([x, x, zero]), torch.cat([y, zero, y]))
    target = torch.cat([x, y], 1)
    reconstruction = sum(mixture(view, target, beta) for view in z.chunk(3))
    return reconstruction - lam * correlation(h_x[: len(x)], h_y[: len(x)])


def mixture(pred: Tensor, target: Tensor, beta: float) -> Tensor:
    return beta * (1 - ssim(pred, target)) + (1 - beta) * (pred - target).abs().mean()


def ssim(pred: Tensor, target: Tensor) -> Tensor:
    channels = pred.shape[1]
    at = torch.arange(11, dtype=pred.dtype, device=pred.device) - 5
    taps = torch.exp(-(at**2) / (2 * 1.5**2))
    taps = taps / taps.sum()

    def blur(a: Tensor) -> Tensor:
        a = F.conv2d(a, taps.view(1, 1, 11, 1).repeat(channels, 1, 1, 1), groups=channels)
        return F.conv2d(a, taps.view(1, 1, 1, 11).repeat(channels, 1, 1, 1), groups=channels)

    m1, m2 = blur(pred), blur(target)
    v1, v2, cov = blur(pred * pred) - m1 * m1, blur(target * target) - m2 * m2, blur(pred * target) - m1 * m2
    top = (2 * m1 * m2 + 0.01**2) * (2 * cov + 0.03**2)
    return (top / ((m1 * m1 + m2 * m2 + 0.01**2) * (v1 + v2 + 0.03**2))).mean()


def correlation(x: Tensor, y: Tensor) -> Tensor:
    u, v = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    squares = ((u * u).sum(1) * (v * v).sum(1)).clamp_min(1e-16)
    return ((u * v).sum(1) / squares.sqrt()).mean()
