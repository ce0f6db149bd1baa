"""Marks of the pair in the maps, case by case: a stranger's stain, retrieval of the partner, the rebuilt stain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from pathfuse.core import Batch
from pathfuse_corranet.correlation import pearson
from pathfuse_corranet.dab import dab, spearman
from pathfuse_corranet.figures import compared, grey, reference_stain, spread
from pathfuse_corranet.passes import JOINT, Passes, from_stain

_DEAD = 1e-12
_COLOURS = 3


@torch.no_grad()
def pairing(
    passes: Passes,
    batch: Batch,
    sources: Mapping[str, Tensor],
    *,
    output: Literal["hidden", "reconstruction"],
    reference: str | None,
) -> dict[str, Tensor]:
    """Per stain that is not the reference, what its maps know of the reference stain of the same case, as (B,).

    `mean_correlation_from_<stain>_shuffled` is `mean_correlation_from_<stain>` with the reference stain of another
    patient of the batch: what remains without the pair; `..._grey` is that of the grey image of the stain itself, which
    needs no network. `retrieval_rank1_from_<stain>` is 1 where the partner is more alike than every other patient's,
    `retrieval_mrr_from_<stain>` is 1 / rank, `retrieval_chance_from_<stain>` the first for guesses, and
    `retrieval_rank1_from_<stain>_grey` that of the grey images. In registered pairs the same edges are in the same
    places, by which grey images find each other too; `retrieval_pooled_...` are ranks of channel means, which know no
    place, and `retrieval_pooled_mrr` the mean of these over stains. Where the
    reference is rebuilt as a colour image, `dab_from_<stain>` is how brown it is, and `dab` how brown the real one is.

    Alike are maps by the cosine of all their values, each less its mean over the batch. Candidates are the cases of
    the batch, so batch sizes cannot be compared with each other. Cases without a partner, and all of them where there
    are no two patients, have NaN.
    """
    out: dict[str, Tensor] = {}
    target = reference_stain(sources, reference)
    for stain in sources:
        if stain == target or target not in sources:
            continue
        both = (batch.present[stain] & batch.present[target]).nonzero().squeeze(1)  # (P,)
        found = _brown(passes, batch, stain, target)
        patients = [batch.patient_ids[row] for row in both.tolist()]
        if len(set(patients)) > 1:
            found |= _against_strangers(passes, batch, sources, output, (stain, target), both, patients)
        out |= {name.format(stain=stain): values for name, values in found.items()}
    reciprocal = [values for name, values in out.items() if name.startswith("retrieval_pooled_mrr_from_")]
    return out | ({"retrieval_pooled_mrr": torch.stack(reciprocal).nanmean(0)} if reciprocal else {})


def _against_strangers(
    passes: Passes,
    batch: Batch,
    sources: Mapping[str, Tensor],
    output: Literal["hidden", "reconstruction"],
    stains: tuple[str, str],
    both: Tensor,
    patients: Sequence[str],
) -> dict[str, Tensor]:
    stain, target = stains
    own, partner = grey(batch.image(stain)[both]), grey(batch.image(target)[both])
    found = retrieval(passes.attended[stain][both], passes.attended[target][both], patients)
    values = {f"{name}_from_{{stain}}": own_values for name, own_values in found.items()}
    means = {m: passes.attended[m][both].mean((2, 3)) for m in stains}
    pooled = retrieval(means[stain], means[target], patients)
    values |= {f"retrieval_pooled_{key}_from_{{stain}}": pooled[f"retrieval_{key}"] for key in ("rank1", "mrr")}
    values["retrieval_rank1_from_{stain}_grey"] = retrieval(own, partner, patients)["retrieval_rank1"]
    values["mean_correlation_from_{stain}_grey"] = pearson(own.double(), partner.double(), dims=(1, 2, 3))
    run = passes.by_name.get(from_stain(stain))
    if run is not None:
        rows = torch.searchsorted(run.rows, both)
        others = both[strangers(patients).to(both.device)]
        values["mean_correlation_from_{stain}_shuffled"] = compared(run, batch, sources, target, output, rows, others)
    return {name: spread(one, both, batch) for name, one in values.items()}


def _brown(passes: Passes, batch: Batch, stain: str, target: str) -> dict[str, Tensor]:
    run = passes.by_name.get(from_stain(stain))
    if run is None or target not in run.views or run.views[target].shape[1] != _COLOURS:
        return {}
    real = batch.present[target].nonzero().squeeze(1)
    return {
        "dab_from_{stain}": spread(dab(run.views[target]), run.rows, batch),
        "dab": spread(dab(batch.image(target)[real]), real, batch),
    }


@torch.no_grad()
def dead_channels(passes: Passes) -> Tensor:
    """How many channels of h(Z) are the same everywhere in the batch."""
    joint = passes.by_name[JOINT].hidden.float()
    deviation = joint.transpose(0, 1).flatten(1).var(1, correction=0)  # (d,)
    return (deviation < _DEAD).sum().float()


def class_signal(by_case: Mapping[str, Tensor], target: Tensor) -> dict[str, Tensor]:
    """Spearman of every amount of DAB with the score, as `<name>_spearman`; nothing without two scores or two amounts.

    Args:
        by_case: what `pairing` gives.
        target: (B,) classes in their order, -1 where none is known.
    """
    out: dict[str, Tensor] = {}
    for name, values in by_case.items():
        if name.partition("_from_")[0] == "dab":
            known = (target >= 0) & ~values.isnan()
            value = spearman(values[known], target[known])
            out |= {} if bool(value.isnan()) else {f"{name}_spearman": value.float()}
    return out


def retrieval(queries: Tensor, candidates: Tensor, patients: Sequence[str]) -> dict[str, Tensor]:
    """Rank of the partner of each of P cases among those of other patients.

    Args:
        queries: maps (P, d, H, W), or vectors (P, d), of one stain.
        candidates: of the other, the partners in the same order.
        patients: of the cases; further cases of the same patient are no candidates.

    Returns:
        `retrieval_rank1`, `retrieval_mrr` and `retrieval_chance`, each (P,); among equals the partner comes in the
        middle.
    """
    q, c = (_directions(maps) for maps in (queries, candidates))
    alike = q @ c.T  # (P, P)
    other = torch.tensor([[a != b for b in patients] for a in patients], device=alike.device)
    own = alike.diagonal()[:, None]
    before = ((alike > own) & other).sum(1)
    equal = ((alike == own) & other).sum(1)
    rank = 1 + before + equal / 2
    return {
        "retrieval_rank1": torch.where(before == 0, 1 / (1 + equal), torch.zeros_like(rank)),
        "retrieval_mrr": 1 / rank,
        "retrieval_chance": 1 / (1 + other.sum(1)),
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
