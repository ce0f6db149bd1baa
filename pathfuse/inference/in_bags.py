"""Predicts a case from several bags of its patches, each as large as those of training: the mean of what is said."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pathfuse.core import Bags, Batch, Model, Prediction


def predict_in_bags(model: Model, batch: Batch, patches: int) -> Prediction:
    """The mean of the class distributions, and of the confidences, over the bags of every case.

    Args:
        model: predicts bags.
        batch: the cases.
        patches: at most so many of each stain in a bag.
    """
    cut, case = in_bags(batch, patches)
    said: Prediction = model(cut)
    count = torch.bincount(case, minlength=len(batch))  # (B,)

    def mean(rows: Tensor) -> Tensor:
        total = rows.new_zeros(len(batch), *rows.shape[1:]).index_add(0, case, rows)
        return total / count.view(-1, *[1] * (rows.dim() - 1))

    present = mean(said.present.double()) > 0  # the bags of a case have the same stains
    if said.logits is None:
        return Prediction(present)
    probability = mean(said.logits.double().softmax(1))  # (B, C)
    logits = probability.clamp(min=torch.finfo(torch.float64).tiny).log()
    return Prediction(present, logits, None if said.confidence is None else mean(said.confidence))


def in_bags(batch: Batch, patches: int) -> tuple[Batch, Tensor]:
    """Every case as several rows, among which its patches are dealt out, and (B',) the case of each row.

    Each stain has as few bags as will do, of sizes that differ by one at most. A bag has patches from everywhere in the
    slide, as one drawn in training has, in their order. Where stains need different numbers of bags, those of the one
    that needs fewer come round again, so that no row lacks a stain which its case has.
    """
    parts = {
        m: torch.where(batch.present[m], -(-bags.lengths // patches), 0)  # (B,)
        for m, bags in batch.x.items()
        if isinstance(bags, Bags)
    }
    rows = torch.stack([torch.ones_like(batch.target), *parts.values()]).amax(0)  # (B,)
    case = torch.repeat_interleave(rows)  # (B',)
    turn = torch.arange(len(case), device=case.device) - (rows.cumsum(0) - rows)[case]  # (B',) 0, 1, ... of each case
    picked = case.tolist()
    cut = Batch(
        {m: _dealt(v, parts[m], case, turn) if isinstance(v, Bags) else v[case] for m, v in batch.x.items()},
        {m: present[case] for m, present in batch.present.items()},
        batch.target[case],
        tuple(batch.case_ids[row] for row in picked),
        tuple(batch.patient_ids[row] for row in picked),
        None if batch.index is None else batch.index[case],
    )
    return cut, case


def _dealt(bags: Bags, parts: Tensor, case: Tensor, turn: Tensor) -> Bags:
    """The bag of every row: each `parts`-th patch of its case; none where the stain is absent."""
    offsets, of_case, rows = bags.offsets.tolist(), parts.tolist(), case.tolist()
    kept = [
        torch.arange(offsets[row] + number % of_case[row], offsets[row + 1], of_case[row])
        if of_case[row]
        else torch.arange(0)
        for row, number in zip(rows, turn.tolist(), strict=True)
    ]
    index = torch.cat([*kept, torch.arange(0)]).to(bags.values.device)
    return replace(
        bags,
        values=bags.values[index],
        lengths=bags.lengths.new_tensor([len(one) for one in kept]),
        slide=None if bags.slide is None else bags.slide[index],
        coords=None if bags.coords is None else bags.coords[index],
        slides=tuple(bags.slides[row] for row in rows) if bags.slides else (),
    )
