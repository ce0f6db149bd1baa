"""The multi-modal attentive contrastive loss in closed form."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pathfuse_wsmcl.selection import Groups


def contrast_terms(rows: tuple[Tensor, Tensor], groups: tuple[Groups, Groups], scale: Tensor) -> Tensor:
    """The four terms of the contrast between two stains of one case.

    Pairs of two top patches, and pairs of two bottom patches, attract each other; pairs of a top and a bottom patch
    repel. Each term is a mean over positive pairs of softplus(logsumexp of the negatives - positive), which is the
    cross-entropy of one positive against its negatives, for all k steps of the published loop at once.

    Args:
        rows: per stain, the patches (n, D) that the groups index.
        groups: per stain, the rows of the top and the bottom group; their sizes may differ.
        scale: inverse temperature.

    Returns:
        (4,): H&E top, H&E bottom, IHC top, IHC bottom against the other stain.

    Source: WSMCL (Shi et al. 2025), equation of the contrastive loss.
    """
    one, two = (F.normalize(stain, dim=1) for stain in rows)
    similarity = scale * one @ two.mT
    top, bottom = (similarity[group] for group in groups[0])
    a, b = top[:, groups[1].top], top[:, groups[1].bottom]
    c, d = bottom[:, groups[1].top], bottom[:, groups[1].bottom]
    return torch.stack(
        [
            _mean_softplus(b.logsumexp(1, keepdim=True) - a),
            _mean_softplus(c.logsumexp(1, keepdim=True) - d),
            _mean_softplus(c.logsumexp(0, keepdim=True) - a),
            _mean_softplus(b.logsumexp(0, keepdim=True) - d),
        ]
    )


def _mean_softplus(values: Tensor) -> Tensor:
    # logsigmoid is softplus without the threshold above which torch's own returns its argument.
    return -F.logsigmoid(-values).mean()
