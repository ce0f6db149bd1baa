"""The objective of Corr-A-Net's first stage: the paper's three passes, and the released code's single one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Literal, TypedDict

import torch
from torch import Tensor

from pathfuse.core import Batch, Model, Objective, Outcome
from pathfuse.errors import RecipeError
from pathfuse_corranet.correlation import Reading, Units, correlation
from pathfuse_corranet.encoder import StainEncoder
from pathfuse_corranet.figures import averages, mean_correlation, reference_stain
from pathfuse_corranet.pairing import class_signal, dead_channels, pairing
from pathfuse_corranet.panels import panels
from pathfuse_corranet.passes import JOINT, Passes, from_stain, rows_of, shareable, shared, stacked
from pathfuse_corranet.ssim import mixture

_NARROWEST_RANGE = 1e-3
Term = Literal["joint", "self", "cross"]
Scored = tuple[Tensor, Tensor]
"""Values (R,) of some rows and, (R,) bool, which of them count."""


class _Compared(TypedDict):
    output: Literal["hidden", "reconstruction"]
    reference: str | None


class CorrelationObjective(Objective):
    """Rebuild every stain from all stains and from each alone, and correlate the stains' maps.

    Terms for `loss_weights`: `joint`, `from_<stain>` per stain, and `correlation`, which is minus the correlation (the
    paper's weight is 1.5). A case adds to a term only where it has the stain to start from and the stain to rebuild.
    In validation, what the maps know of the pair is logged: see `pairing`.

    Args:
        beta: weight of SSIM in the reconstruction error, the rest is L1; 0 is L1 alone.
        terms: which reconstructions count: `joint` (from all stains), `self` (a stain from itself), `cross` (another
            stain from it); null is all three. `from_<stain>` is the mean of its self and cross parts.
        correlation: what is correlated: `channel`, the features at every pixel, as in the released code; `flat`, all
            values of a case; `batch`, every unit over the cases, as in the method that the paper builds on;
            `batch_channel`, every channel over cases and pixels. `channel` hardly tells a pair from strangers.
        units: for the two batch readings, `mean` or `sum` over units.
        data_range: span of the values for SSIM; null is 1 for images and, with a stem, the range of the batch.
        mean_correlation: what the metric of that name compares with the reference stain: `hidden`, the channel mean
            of h(Z) with the grey image; `reconstruction`, the decoded view with what it should be.
        reference: the stain of that metric; null is `ihc`, or the last stain where none is called so.
        select_by: what selects the epoch that the next stage stands on: `retrieval` of the partner by
            channel means, or the `loss`.
        share_rows: encode every distinct image once instead of in each pass. The numbers are the same up to rounding.

    Source: Dutta et al. 2025, eq. 2 to 4 and figure 2B; Chandar et al. 2016, section 4 (the three passes).
    Departs: beta and the axis of the correlation are not in the paper, which builds on a method of `batch`, while its
        released code computes `channel`; the denominator of the correlation is guarded.
    """

    def __init__(
        self,
        *,
        beta: float = 0.84,
        terms: list[Term] | None = None,
        correlation: Reading = "batch",
        units: Units = "mean",
        data_range: float | None = None,
        mean_correlation: Literal["hidden", "reconstruction"] = "hidden",
        reference: str | None = None,
        select_by: Literal["retrieval", "loss"] = "retrieval",
        share_rows: bool = True,
    ) -> None:
        super().__init__()
        self.terms = frozenset(("joint", "self", "cross") if terms is None else terms)
        if not self.terms <= {"joint", "self", "cross"} or not self.terms:
            raise RecipeError(
                f"model.objective.terms: {terms} is not a selection of joint, self and cross; name one or more of them"
            )
        if not 0.0 <= beta <= 1.0:
            raise RecipeError(f"model.objective.beta: {beta} is not between 0 and 1; the default is 0.84")
        self.beta = beta
        self.correlation = correlation
        self.units = units
        self.data_range = data_range
        self.mean_correlation = mean_correlation
        self.reference = reference
        self.selected_by = "retrieval_pooled_mrr" if select_by == "retrieval" else None
        self.share_rows = share_rows

    def losses(self, model: Model, batch: Batch) -> Outcome:
        """The loss terms of a batch, and the prediction of the joint pass."""
        sources = _sources(model, batch)
        passes = self._passes(model, batch, sources, alone=bool(self.terms & {"self", "cross"}))
        scores = self._scores(passes, batch, sources, self._ranges(model, batch, sources))
        correlated = correlate_stains(passes.attended, batch.present, self.correlation, self.units)
        terms = {**self._terms(scores, model.reads), "correlation": -correlated}
        figures = averages(mean_correlation(passes, batch, sources, **self._compared))
        if not self.training:
            by_case = pairing(passes, batch, sources, **self._compared)
            figures |= (
                averages(by_case) | class_signal(by_case, batch.target) | {"dead_channels": dead_channels(passes)}
            )
        return Outcome(terms, passes.prediction, _parts(scores) | {"correlation": correlated.detach()} | figures)

    @torch.no_grad()
    def by_case(self, model: Model, batch: Batch) -> dict[str, Tensor]:
        """What the maps know of the pair, for every case: see `mean_correlation` and `pairing`."""
        sources = _sources(model, batch)
        passes = self._passes(model, batch, sources, alone=True)
        return mean_correlation(passes, batch, sources, **self._compared) | pairing(
            passes, batch, sources, **self._compared
        )

    @torch.no_grad()
    def pictures(self, model: Model, batch: Batch) -> dict[str, Tensor]:
        """Every stain, the channel mean of h(Z) from each other stain than the reference, and the reference rebuilt."""
        sources = _sources(model, batch)
        passes = self._passes(model, batch, sources, alone=True)
        return panels(passes, batch, reference_stain(sources, self.reference))

    @property
    def _compared(self) -> _Compared:
        return {"output": self.mean_correlation, "reference": self.reference}

    def _passes(self, model: Model, batch: Batch, sources: Mapping[str, Tensor], *, alone: bool) -> Passes:
        rows = rows_of(batch, model.reads, alone=alone)
        if self.share_rows and shareable(model, batch):
            return shared(model, batch, rows, sources)
        return stacked(model, batch, rows)

    def _scores(
        self, passes: Passes, batch: Batch, sources: Mapping[str, Tensor], ranges: Mapping[str, float]
    ) -> dict[tuple[str, str], Scored]:
        """Per pass and stain to rebuild, the error of every row and whether that stain is there to compare with."""
        scores = {}
        for name, run in passes.by_name.items():
            for m, view in run.views.items():
                if not self._counts(name, m):
                    continue
                target = sources[m] if len(run.rows) == len(batch) else sources[m][run.rows]
                error = mixture(view, target, beta=self.beta, data_range=ranges[m])
                scores[name, m] = (error, batch.present[m][run.rows])
        return scores

    def _counts(self, name: str, stain: str) -> bool:
        kind = "joint" if name == JOINT else "self" if name == from_stain(stain) else "cross"
        return kind in self.terms

    def _terms(self, scores: Mapping[tuple[str, str], Scored], stains: Iterable[str]) -> dict[str, Tensor]:
        names = [JOINT, *(from_stain(m) for m in stains)]
        grouped = {name: [score for (run, _), score in scores.items() if run == name] for name in names}
        return {name: masked_mean(group) for name, group in grouped.items() if group}

    def _ranges(self, model: Model, batch: Batch, sources: Mapping[str, Tensor]) -> dict[str, float]:
        known = model.encoder.data_range if isinstance(model.encoder, StainEncoder) else 1.0
        known = known if self.data_range is None else self.data_range
        return {m: _span(source[batch.present[m]]) if known is None else known for m, source in sources.items()}


class ReleasedObjective(Objective):
    """The loss of the released code: one pass, three L1 terms, and the correlation.

    Terms for `loss_weights`: `l1_joint` against all stains, `l1_<stain>` against that stain with zeros for the
    others, and `correlation`, which is minus the correlation (the released weight is 1). All three compare the *same*
    output, so with two stains present their optimum is the darker of the two at every pixel, and with one absent it
    is zero.

    Args:
        correlation: what is correlated: `channel`, `flat`, `batch` or `batch_channel`.
        units: for the two batch readings, `mean` or `sum` over units.
        absent: what an absent stain is compared with: `zero`, as in the released code, which blanks IHC before the
            loss; `skip` leaves the case out of that comparison and of the correlation.

    Source: the released code as it runs; the paper describes `CorrelationObjective`.
    Departs: a guard in the correlation's denominator; any number of stains.
    """

    def __init__(
        self, *, correlation: Reading = "channel", units: Units = "mean", absent: Literal["zero", "skip"] = "zero"
    ) -> None:
        super().__init__()
        self.correlation = correlation
        self.units = units
        self.absent = absent

    def losses(self, model: Model, batch: Batch) -> Outcome:
        """The loss terms of a batch, and its prediction."""
        sources = _sources(model, batch)
        fused = model.fuse(batch)
        prediction = model.head(fused)
        counts = batch.present if self.absent == "skip" else {m: fused.present for m in sources}
        near, dark = {}, {}  # distance of each view from its stain, and from zeros
        for m, view in prediction.reconstructions.items():
            near[m] = (_l1(view, sources[m]), counts[m])
            dark[m] = (_l1(view, torch.zeros_like(sources[m])), counts[m])
        terms = {"l1_joint": masked_mean(near.values())}
        for m in near:
            terms[f"l1_{m}"] = masked_mean([near[other] if other == m else dark[other] for other in near])
        correlated = correlate_stains(fused.by_modality, counts, self.correlation, self.units)
        return Outcome({**terms, "correlation": -correlated}, prediction, {"correlation": correlated.detach()})


def correlate_stains(
    maps: Mapping[str, Tensor], present: Mapping[str, Tensor], reading: Reading, units: Units
) -> Tensor:
    """The mean over pairs of stains of their correlation, over the cases that have both; 0 without any."""
    pairs = []
    for a, b in combinations(maps, 2):
        both = present[a] & present[b]
        if bool(both.all()):
            pairs.append(correlation(maps[a], maps[b], reading=reading, units=units))
        elif bool(both.any()):
            pairs.append(correlation(maps[a][both], maps[b][both], reading=reading, units=units))
    if not pairs:
        return torch.zeros((), device=next(iter(maps.values())).device)
    return torch.stack(pairs).mean()


def masked_mean(scores: Iterable[Scored]) -> Tensor:
    """The mean of all values that count; 0, with a gradient of 0, if none does."""
    parts = list(scores)
    values, counts = torch.cat([v for v, _ in parts]), torch.cat([c for _, c in parts])
    return torch.where(counts, values, torch.zeros_like(values)).sum() / counts.sum().clamp_min(1)


def _parts(scores: Mapping[tuple[str, str], Scored]) -> dict[str, Tensor]:
    """Self and cross reconstruction one by one, for reporting."""
    parts = {}
    for (name, m), (values, counts) in scores.items():
        if name != JOINT and bool(counts.any()):
            start = name.removeprefix("from_")
            parts[f"self_{m}" if start == m else f"cross_{start}_to_{m}"] = masked_mean([(values, counts)]).detach()
    return parts


def _sources(model: Model, batch: Batch) -> dict[str, Tensor]:
    """What the views are compared with: the encoder's sources, or the images where it names none."""
    if isinstance(model.encoder, StainEncoder):
        return model.encoder.sources(batch)
    return {m: torch.where(batch.present[m].view(-1, 1, 1, 1), batch.image(m), 0.0) for m in model.reads}


def _span(values: Tensor) -> float:
    if values.numel() == 0:
        return 1.0
    return max(float(values.max() - values.min()), _NARROWEST_RANGE)


def _l1(view: Tensor, target: Tensor) -> Tensor:
    return mixture(view, target, beta=0.0)
