"""Marks of the pair in the maps: correlation with a stranger's stain, retrieval of the partner, dead channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from pathfuse.core import Batch
from pathfuse_corranet.figures import compared, reference_stain
from pathfuse_corranet.passes import JOINT, Passes, from_stain

_DEAD = 1e-12


@torch.no_grad()
def pairing(
    passes: Passes,
    batch: Batch,
    sources: Mapping[str, Tensor],
    *,
    output: Literal["hidden", "reconstruction"],
    reference: str | None,
) -> dict[str, Tensor]:
    """Per stain that is not the reference, what its maps know of the reference stain of the same case.

    `mean_correlation_from_<stain>_shuffled` is `mean_correlation_from_<stain>` with the reference stain of another
    patient of the batch: what remains without the pair. `retrieval_rank1_from_<stain>` is the share of cases whose
    partner is more alike than every other patient's, `retrieval_mrr_from_<stain>` the mean of 1 / rank, and
    `retrieval_chance_from_<stain>` that share for guesses. `dead_channels` counts the channels of h(Z) that are the
    same everywhere in the batch.

    Alike are maps by the cosine of all their values, each less its mean over the batch. Candidates are the cases of
    the batch, so batch sizes cannot be compared with each other. Without two patients there are only dead channels.
    """
    joint = passes.by_name[JOINT].hidden.float()
    spread = joint.transpose(0, 1).flatten(1).var(1, correction=0)  # (d,)
    out = {"dead_channels": (spread < _DEAD).sum().float()}
    target = reference_stain(sources, reference)
    for stain in sources:
        if stain == target or target not in sources:
            continue
        both = (batch.present[stain] & batch.present[target]).nonzero().squeeze(1)  # (P,)
        patients = [batch.patient_ids[row] for row in both.tolist()]
        if len(set(patients)) < 2:
            continue
        own, partner = passes.attended[stain][both], passes.attended[target][both]
        out |= {f"{name}_from_{stain}": value for name, value in retrieval(own, partner, patients).items()}
        run = passes.by_name.get(from_stain(stain))
        if run is not None:
            rows = torch.searchsorted(run.rows, both)
            values = compared(run, batch, sources, target, output, rows, both[strangers(patients).to(both.device)])
            out[f"mean_correlation_from_{stain}_shuffled"] = values.mean()
    return out


def retrieval(queries: Tensor, candidates: Tensor, patients: Sequence[str]) -> dict[str, Tensor]:
    """Rank of the partner of each of P cases among those of other patients.

    Args:
        queries: maps (P, d, H, W) of one stain.
        candidates: of the other, the partners in the same order.
        patients: of the cases; further cases of the same patient are no candidates.

    Returns:
        `retrieval_rank1`, `retrieval_mrr` and `retrieval_chance`; among equals the partner comes in the middle.
    """
    q, c = (_directions(maps) for maps in (queries, candidates))
    alike = q @ c.T  # (P, P)
    other = torch.tensor([[a != b for b in patients] for a in patients], device=alike.device)
    own = alike.diagonal()[:, None]
    before = ((alike > own) & other).sum(1)
    equal = ((alike == own) & other).sum(1)
    rank = 1 + before + equal / 2
    chance = 1 / (1 + other.sum(1))
    first = torch.where(before == 0, 1 / (1 + equal), torch.zeros_like(rank))
    return {
        "retrieval_rank1": first.mean(),
        "retrieval_mrr": (1 / rank).mean(),
        "retrieval_chance": chance.mean(),
    }


def strangers(patients: Sequence[str]) -> Tensor:
    """For each case, the position of the next one of another patient, round and round."""
    count = len(patients)
    return torch.tensor(
        [
            next((row + step) % count for step in range(1, count) if patients[(row + step) % count] != patients[row])
            for row in range(count)
        ]
    )


def _directions(maps: Tensor) -> Tensor:
    flat = maps.float().flatten(1)  # (P, D)
    centred = flat - flat.mean(0)
    length: Tensor = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    return centred / length.clamp_min(_DEAD)
