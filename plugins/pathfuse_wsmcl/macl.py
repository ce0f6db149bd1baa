"""The contrast between the most and the least attended patches of two stains, around any way to join the stains."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor, nn

from pathfuse.core import Batch, DataSpec, Fused, Fusion, Tokens, TokenSpec
from pathfuse.errors import PathfuseError, RecipeError
from pathfuse.nn import NestedFusion, at_least_float, check_counts, one_width, token_vector
from pathfuse_wsmcl.contrast import contrast_terms
from pathfuse_wsmcl.pooling import AttendedPool, attended
from pathfuse_wsmcl.selection import Groups, Overlap, at_random, extremes, group_size
from pathfuse_wsmcl.tail import TailFusion

Positives = Literal["both", "top", "bottom"]


class MACL(Fusion):
    """Pools the patches of every stain, joins the stains, and contrasts their best and worst patches as a loss.

    Its loss term is `contrast`: the k patches with the highest scores of one stain should resemble those of the other
    stain and not its lowest, and the other way round. A case counts if it has both stains and at least two patches of
    each. With more than two stains it is the mean over the pairs. At prediction it costs nothing.

    Args:
        tokens: sizes of the encoder's tokens; the encoder must score patches, as NystromEncoder does.
        spec: sizes of the data.
        fusion: joins the mean patches of the stains; null is `TailFusion`.
        k: patches per group. Where a bag has fewer than 2k, both groups are half of it.
        pool: `mean` of the patches, as published, which leaves their scores without gradient; or `attended`, a sum
            weighed by a learned score, which then also ranks the patches, so that a high score means something.
        hidden: width of the layer that scores patches for `attended`.
        selection: `score` takes the highest and lowest scores, `random` draws both groups anew in every step.
        positives: pairs that attract: both groups, or only the `top` or the `bottom` one; the ablations.
        overlap: `released` lets the groups of a bag of fewer than 2k patches overlap, as the released code does, and
            refuses a bag of fewer than k.
        temperature: of the contrast, at the start; it is learned.
        max_scale: upper bound of the learned inverse temperature; null has none, as released. CLIP uses 100.

    Source: WSMCL (Shi et al., Comput Med Imaging Graph 121:102502, 2025), section 2.3.
    Departs: closed form instead of k steps, equal in value and gradient; the groups never overlap unless asked; mean
        over the cases of a batch. `pool: attended` is ours.
    """

    def __init__(
        self,
        tokens: dict[str, TokenSpec],
        spec: DataSpec,
        *,
        fusion: NestedFusion | None = None,
        k: int = 100,
        pool: Literal["mean", "attended"] = "mean",
        hidden: int = 64,
        selection: Literal["score", "random"] = "score",
        positives: Positives = "both",
        overlap: Overlap = "disjoint",
        temperature: float = 0.07,
        max_scale: float | None = None,
    ) -> None:
        super().__init__()
        _check(tokens, k, temperature, max_scale)
        check_counts("MACL", {"hidden": hidden})
        self.k = k
        self.selection = selection
        self.positives = positives
        self.overlap: Overlap = overlap
        self.max_scale = max_scale
        attends = tokens if pool == "attended" else {}
        self.pools = nn.ModuleDict({name: AttendedPool(token.dim, hidden) for name, token in attends.items()})
        own = {name: TokenSpec(token.dim, "vector") for name, token in tokens.items()}
        self.fusion = fusion(own, spec) if fusion else TailFusion(own, spec)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))
        self.out = replace(self.fusion.out, by_modality=own)

    def forward(self, tokens: dict[str, Tokens]) -> Fused:
        """The joint embedding; `attention` holds the score (T,) of every patch."""
        if self.pools:
            means, learned = attended(self.pools, tokens)
            tokens = {name: replace(token, score=learned[name]) for name, token in tokens.items()}
        else:
            means = {name: token_vector(token) for name, token in tokens.items()}  # (B, D) each
        inner: Fused = self.fusion({name: Tokens(mean, tokens[name].present) for name, mean in means.items()})
        scores = {name: token.score for name, token in tokens.items() if token.score is not None}
        return replace(inner, by_modality=means, tokens=tokens, attention=scores)

    def loss(self, fused: Fused, batch: Batch) -> dict[str, Tensor]:
        """The term `contrast`, and the terms of the nested fusion."""
        return {**self.fusion.loss(fused, batch), "contrast": self.contrast(fused.tokens, batch.case_ids)}

    def contrast(self, tokens: dict[str, Tokens], case_ids: tuple[str, ...]) -> Tensor:
        """Mean over cases and pairs of stains; 0, still attached to the graph, if no case has a pair."""
        chosen = {name: self._choose(name, token, case_ids) for name, token in tokens.items()}
        # Full precision under autocast too: the inverse temperature multiplies rounding errors.
        with torch.autocast(self.logit_scale.device.type, enabled=False):
            scale = self.logit_scale.exp()
            scale = scale if self.max_scale is None else scale.clamp(max=self.max_scale)
            losses = [
                self._mean_term(contrast_terms((one[0], two[0]), (one[1], two[1]), scale))
                for first, second in combinations(tokens, 2)
                for one, two in zip(chosen[first], chosen[second], strict=True)
                if one is not None and two is not None
            ]
            return torch.stack(losses).mean() if losses else 0 * self.logit_scale

    def _mean_term(self, terms: Tensor) -> Tensor:
        kept = {"both": [0, 1, 2, 3], "top": [0, 2], "bottom": [1, 3]}[self.positives]
        return terms[kept].mean()

    def _choose(self, name: str, token: Tokens, case_ids: tuple[str, ...]) -> list[tuple[Tensor, Groups] | None]:
        """Per case, the rows that its groups need and the groups in them; None where there are no two patches."""
        assert token.lengths is not None
        if token.score is None and self.selection == "score":
            raise RecipeError(
                f"MACL: the encoder gives no scores for {name}. Use NystromEncoder, or selection: random."
            )
        sizes = token.lengths.tolist()
        groups = [
            self._groups(token, start, size, case) if there and size >= 2 else None
            for start, size, there, case in zip(_starts(sizes), sizes, token.present.tolist(), case_ids, strict=True)
        ]
        rows = [torch.cat(group) for group in groups if group is not None]
        if not rows:
            return [None] * len(groups)
        # One gather for the batch: each would make a gradient as large as all bags.
        values = at_least_float(token.values.index_select(0, torch.cat(rows)))
        parts = iter(torch.split(values, [len(row) for row in rows]))
        return [None if group is None else (next(parts), _renumbered(group)) for group in groups]

    def _groups(self, token: Tokens, start: int, size: int, case: str) -> Groups:
        if self.overlap == "released" and size < self.k:
            raise PathfuseError(
                f"MACL: a bag of case {case} has {size} patches, and overlap: released takes k = {self.k}. "
                "Set overlap: disjoint, or a smaller k."
            )
        if self.selection == "random" or token.score is None:
            top, bottom = at_random(size, self.k, token.values.device)
        else:
            top, bottom = extremes(token.score[start : start + size], self.k, self.overlap)
        return Groups(top + start, bottom + start)


def _starts(sizes: list[int]) -> list[int]:
    return [sum(sizes[:case]) for case in range(len(sizes))]


def _renumbered(group: Groups) -> Groups:
    device = group.top.device
    split = len(group.top)
    return Groups(torch.arange(split, device=device), torch.arange(split, split + len(group.bottom), device=device))


def _check(tokens: dict[str, TokenSpec], k: int, temperature: float, max_scale: float | None) -> None:
    for name, token in tokens.items():
        if token.layout != "packed":
            raise RecipeError(f"MACL contrasts patches, and {name} is a {token.layout}. Use an encoder for bags.")
    one_width("MACL", tokens, "Set width in the encoder.")
    if k < 1 or temperature <= 0:
        raise RecipeError(f"MACL: k and temperature are above 0, got {k} and {temperature}.")
    if max_scale is not None and max_scale <= 0:
        raise RecipeError(f"MACL.max_scale is {max_scale}; give more than 0, or null for no bound.")


__all__ = ["MACL", "group_size"]
