"""Explains the cases of a trained model: a picture per case and stain, and one file of figures."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence, Sized
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from pathfuse.core import Batch, Explainer, Model
from pathfuse.core.finite import refuse_not_finite
from pathfuse.errors import RecipeError, RunError
from pathfuse.explain.entries import case_entries, file_name, finite, said_of
from pathfuse.explain.faithfulness import Masking, drop_in_accuracy, masked
from pathfuse.explain.heat_map import STAINS
from pathfuse.explain.overlay import overlay, titled, write_png
from pathfuse.explain.truth import Truth, auc_of, mean_score, random_map
from pathfuse.system.files import write_text


@dataclass
class _Found:
    """What has been gathered so far."""

    cases: list[dict[str, Any]] = field(default_factory=list)
    full: list[Tensor] = field(default_factory=list)
    masked: dict[str, list[Tensor]] = field(default_factory=dict)
    target: list[Tensor] = field(default_factory=list)
    truth: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)


def explain_cases(
    model: Model,
    batches: Iterable[Batch],
    explainer: Explainer,
    out: Path,
    *,
    classes: Sequence[str],
    pictures: Collection[str] | None = None,
    truth: Truth | None = None,
    maskings: Sequence[Masking] = (Masking(),),
    seed: int = 0,
    console: Console | None = None,
) -> dict[str, Any]:
    """Explains the predicted class of every case; writes pictures and `explain.json`, and returns its content.

    Args:
        model: the trained model; it is not changed.
        batches: the cases, without augmentation and with only those stains present that the model may look at.
            The figures are over all of them.
        explainer: makes the maps.
        out: folder to write to; made if it is not there.
        classes: label names in the order of the class indices.
        pictures: ids of the cases that get pictures; None draws all.
        truth: finds the mask of where the signal is, for example `truth_beside(table)`.
        maskings: how maps become masks for Drop in Accuracy; each costs one more pass over the cases.
        seed: of the random maps that stand beside the maps.
        console: where progress is shown; None shows none.

    Raises:
        RunError: if the folder cannot be written to.
        NotFiniteError: if what the model says of a case is not.
        RecipeError: if the model does not classify.
    """
    make_folder(out)
    found = _Found(masked={masking.name: [] for masking in maskings})
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    total = len(batches) if isinstance(batches, Sized) else None
    hidden = console is None
    for batch in track(batches, "explaining", total=total, console=console, disable=hidden, transient=True):
        moved = batch.to(device)
        full = _logits(model, moved)
        refuse_not_finite(moved.case_ids, full)
        maps = explainer.explain(model, moved, full.argmax(1))
        _add_drop(found, model, moved, full, maps, maskings)
        found.cases += case_entries(moved, full, maps, classes)
        _draw(found, moved, maps, out, pictures)
        if truth is not None:
            _add_truth(found, moved, maps, truth, seed)
    summary = _summary(found, explainer, seed)
    write_text(out / "explain.json", json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return summary


def make_folder(out: Path) -> None:
    """Makes the output folder.

    Raises:
        RunError: if that is not possible.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out} cannot be made ({error.strerror}). Choose another folder.") from error


def _logits(model: Model, batch: Batch) -> Tensor:
    with torch.no_grad():
        logits = model(batch).logits
    if logits is None:
        raise RecipeError(f"explain: {type(model.head).__name__} does not classify, so there is no class to explain.")
    scores: Tensor = logits
    return scores


def _add_drop(
    found: _Found, model: Model, batch: Batch, full: Tensor, maps: dict[str, Tensor], maskings: Sequence[Masking]
) -> None:
    # Cases with nothing to look at have an arbitrary prediction; it says nothing about the map.
    seen = torch.stack([batch.present[modality] for modality in model.reads]).any(0)  # (B,)
    found.full.append(full[seen].cpu())
    found.target.append(batch.target[seen].cpu())
    for masking in maskings:
        found.masked[masking.name].append(_logits(model, masked(batch, maps, masking))[seen].cpu())


def _draw(found: _Found, batch: Batch, maps: dict[str, Tensor], out: Path, pictures: Collection[str] | None) -> None:
    for row, entry in enumerate(found.cases[-len(batch) :]):
        if pictures is not None and entry["case_id"] not in pictures:
            continue
        for modality in entry["stains"]:
            name = file_name(entry["case_id"], modality, found.files)
            picture = overlay(batch.image(modality)[row], maps[modality][row])
            title = f"case {entry['case_id']}, {STAINS.get(modality, modality)}\n{said_of(entry)}"
            write_png(out / name, titled(picture, title))
            entry["pictures"][modality] = name


def _add_truth(found: _Found, batch: Batch, maps: dict[str, Tensor], truth: Truth, seed: int) -> None:
    for entry, (row, case_id) in zip(found.cases[-len(batch) :], enumerate(batch.case_ids), strict=True):
        for modality in entry["stains"]:
            mask = truth(case_id, modality)
            if mask is None:
                continue
            auc = auc_of(maps[modality][row].double().cpu().numpy(), mask)
            random_auc = auc_of(random_map(case_id, seed), mask)
            if auc is not None and random_auc is not None:
                found.truth.setdefault(modality, []).append((auc, random_auc))
                entry.setdefault("truth_auc", {})[modality] = auc


def _summary(found: _Found, explainer: Explainer, seed: int) -> dict[str, Any]:
    summary: dict[str, Any] = {"explainer": type(explainer).__name__, "explained": "predicted class", "seed": seed}
    if found.full:
        full, target = torch.cat(found.full).double(), torch.cat(found.target)
        drops = {
            name: drop_in_accuracy(full, torch.cat(logits).double(), target) for name, logits in found.masked.items()
        }
        summary["drop_in_accuracy"] = {name: finite(asdict(drop)) for name, drop in drops.items()}
    if found.truth:
        scores = {modality: mean_score(scores) for modality, scores in found.truth.items()}
        summary["truth"] = {modality: finite(asdict(score)) for modality, score in scores.items()}
    return {**summary, "cases": found.cases}
