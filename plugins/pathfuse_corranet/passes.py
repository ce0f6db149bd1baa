"""The passes of one training step: all stains together, and each stain alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from pathfuse.core import Batch, Model, Prediction
from pathfuse_corranet.decoder import ReconstructionHead
from pathfuse_corranet.encoder import StainEncoder
from pathfuse_corranet.fusion import SEAttention
from pathfuse_corranet.norm import activate

JOINT = "joint"


@dataclass(frozen=True)
class Pass:
    """What came out for some rows of the batch.

    Attributes:
        rows: (R,) long, ascending: the rows of the batch that took part.
        hidden: (R, d, H, W), the joint map.
        views: per stain, the reconstruction (R, C, H, W).
    """

    rows: Tensor
    hidden: Tensor
    views: dict[str, Tensor]


@dataclass(frozen=True)
class Passes:
    """All passes of a step.

    Attributes:
        by_name: `joint` (every row of the batch), and `from_<stain>` (the rows where that stain is present).
        attended: per stain, its own map (B, d, H, W) in the joint pass.
        prediction: of the joint pass.
    """

    by_name: dict[str, Pass]
    attended: dict[str, Tensor]
    prediction: Prediction


def rows_of(batch: Batch, stains: tuple[str, ...], *, alone: bool) -> dict[str, Tensor]:
    """Which rows go through which pass; `alone` adds the passes from one stain."""
    rows = {JOINT: torch.arange(len(batch), device=batch.target.device)}
    if alone:
        rows |= {from_stain(m): batch.present[m].nonzero().squeeze(1) for m in stains}
    return rows


def from_stain(stain: str) -> str:
    """Name of the pass, and of the loss term, from one stain alone."""
    return f"from_{stain}"


def stacked(model: Model, batch: Batch, rows: Mapping[str, Tensor]) -> Passes:
    """The definition: one batch of all passes, in which absent stains are absent rows.

    One batch, because a pass of black images alone through batch norm in training mode is ill-conditioned.
    """
    stains = {from_stain(m): m for m in model.reads}
    parts = [batch.select(r) if name == JOINT else batch.select(r).keep(stains[name]) for name, r in rows.items()]
    fused = model.fuse(Batch.cat(parts))
    views = model.head(fused).reconstructions
    attended = {m: fused.by_modality[m][: len(batch)] for m in fused.by_modality}
    return _divide(rows, fused.embedding, views, attended, fused.present[: len(batch)])


def shareable(model: Model, batch: Batch) -> bool:
    """Whether `shared` computes what `stacked` defines, for these components and this batch."""
    exact = (type(model.encoder), type(model.fusion), type(model.head)) == (
        StainEncoder,
        SEAttention,
        ReconstructionHead,
    )
    if not exact or model.encoder.missing != "zero_input":
        return False
    return bool(torch.stack([batch.present[m] for m in model.reads]).any(0).all())


def shared(model: Model, batch: Batch, rows: Mapping[str, Tensor], sources: Mapping[str, Tensor]) -> Passes:
    """The same numbers as `stacked`, without computing a row twice.

    An encoder sees the same image in the joint pass and in the pass from its stain, and otherwise black images. So it
    runs on the distinct rows only, its batch statistics count each as often as it occurs, and since the convolution
    of the fusion is linear before its activation, every stain goes through it once and the passes add up the results.
    """
    encoder, fusion, head = model.encoder, model.fusion, model.head
    assert (
        isinstance(encoder, StainEncoder) and isinstance(fusion, SEAttention) and isinstance(head, ReconstructionHead)
    )
    passes_of_a_row = 2 if len(rows) > 1 else 1
    total = sum(len(r) for r in rows.values())
    attended, added = {}, {}
    for m in encoder.reads:
        present = batch.present[m]
        everywhere = bool(present.all())
        real = sources[m] if everywhere else sources[m][present]
        runs = ((real.shape[0], passes_of_a_row), (1, total - passes_of_a_row * real.shape[0]))
        distinct = torch.cat([real, encoder.blank(batch.image(m))]) if runs[1][1] else real
        own = fusion.gates[m](encoder.branches[m](distinct, tuple(run for run in runs if run[0] * run[1])))
        attended[m] = _Rows.of(own, present, everywhere)
        added[m] = _Rows.of(_contribution(fusion, m, own), present, everywhere)
    hidden = activate(torch.cat([_add(added, name) for name in rows]), fusion.slope)
    anything = torch.ones_like(batch.target, dtype=torch.bool)
    return _divide(rows, hidden, head.decode(hidden), {m: attended[m].everywhere() for m in attended}, anything)


@dataclass(frozen=True)
class _Rows:
    """The distinct rows of one stain: `real` (n, d, H, W) and that of the black image, `blank` (1, d, H, W)."""

    real: Tensor
    blank: Tensor
    where: Tensor | None

    @classmethod
    def of(cls, maps: Tensor, present: Tensor, everywhere: bool) -> _Rows:
        n = len(present) if everywhere else int(present.sum())
        real, blank = torch.split(maps, [n, maps.shape[0] - n])
        return cls(real, blank, None if everywhere else torch.where(present, present.cumsum(0) - 1, n))

    def everywhere(self) -> Tensor:
        """All rows of the batch (B, d, H, W)."""
        return self.real if self.where is None else torch.cat([self.real, self.blank])[self.where]


def _add(added: Mapping[str, _Rows], name: str) -> Tensor:
    """The sum over stains in one pass (R, d, H, W)."""
    parts = [
        maps.everywhere() if name == JOINT else maps.real if name == from_stain(m) else maps.blank
        for m, maps in added.items()
    ]
    return sum(parts[1:], parts[0])


def _contribution(fusion: SEAttention, stain: str, attended: Tensor) -> Tensor:
    """What a stain adds to the joint map before the activation; the first one brings the bias."""
    stains = list(fusion.gates)
    part = slice(None)
    if fusion.combine == "concat":
        dim = fusion.out.dim
        part = slice(stains.index(stain) * dim, (stains.index(stain) + 1) * dim)
    kernel = fusion.conv.weight[:, part] / (len(stains) if fusion.combine == "mean" else 1)
    return conv2d(attended, kernel, fusion.conv.bias if stain == stains[0] else None, padding=1)


def _divide(
    rows: Mapping[str, Tensor],
    hidden: Tensor,
    views: Mapping[str, Tensor],
    attended: dict[str, Tensor],
    present: Tensor,
) -> Passes:
    sizes = [len(r) for r in rows.values()]
    hiddens = torch.split(hidden, sizes)
    by_stain = {m: torch.split(view, sizes) for m, view in views.items()}
    by_name = {
        name: Pass(r, hiddens[i], {m: parts[i] for m, parts in by_stain.items()})
        for i, (name, r) in enumerate(rows.items())
    }
    return Passes(by_name, attended, Prediction(present, reconstructions=by_name[JOINT].views))
