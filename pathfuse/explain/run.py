"""Explains the cases of a trained model by one or several explainers: pictures, files, figures and one page."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from pathfuse.core import Bags, Batch, Explainer, Model, Prediction, as_map
from pathfuse.core.explainer import check_scores
from pathfuse.core.finite import refuse_not_finite
from pathfuse.errors import RunError
from pathfuse.explain.asked import PREDICTED, Agreement, chosen_classes, logits_of
from pathfuse.explain.bags import BagFiles
from pathfuse.explain.entries import case_entries, file_name
from pathfuse.explain.faith.drop import Masking, masked
from pathfuse.explain.faith.measured import Faithfulness
from pathfuse.explain.faith.patch_truth import PatchTruth
from pathfuse.explain.faith.truth import Truth
from pathfuse.explain.heat_map import Tissue
from pathfuse.explain.images import ImageFigures, clipped, draw_images, maps_by_chance, score_images
from pathfuse.explain.panel.page import Panels
from pathfuse.explain.places import SlideScores, by_slide
from pathfuse.explain.raw import RawScores
from pathfuse.explain.stains import HARDLY, hardly_used, mean_shares, stain_shares
from pathfuse.system.files import write_text

RESULT, PAGE = "explain.json", "explain.html"
Scores = dict[str, dict[str, Tensor]]
"""Explainer to modality to scores."""


@dataclass(frozen=True)
class Wanted:
    """What is to be explained, and against what it is held.

    Attributes:
        target: `predicted`, `label`, or the name of a class.
        pictures: ids of the cases that get pictures and files; None takes all. The figures are over all cases.
        truth: finds the mask of where the signal is, for example `truth_beside(table)`.
        patch_truth: which patches carry the signal, where that is known.
        predict: says what is predicted of a batch, where that is not what the model says of whole bags.
        tissue: gives the picture of a region of a slide, over which maps of bags are laid; None where none is at hand.
        shapley: values every stain of a case; None leaves shares out.
        agreement: what the run's evaluation wrote; None compares with nothing.
        faithfulness: measures how far the maps can be believed; None measures Drop in Accuracy of images alone.
        maskings: how maps become masks for Drop in Accuracy; each costs one more pass over the cases.
        seed: of what is random beside the maps.
    """

    target: str = PREDICTED
    pictures: Collection[str] | None = None
    truth: Truth | None = None
    patch_truth: PatchTruth | None = None
    predict: Callable[[Batch], Prediction] | None = None
    tissue: Tissue | None = None
    shapley: Explainer | None = None
    agreement: Agreement | None = None
    faithfulness: Faithfulness | None = None
    maskings: Sequence[Masking] = (Masking(),)
    seed: int = 0

    def shown(self, case_id: str) -> bool:
        """Whether a case gets pictures and files."""
        return self.pictures is None or case_id in self.pictures


@dataclass
class _Job:
    """What has been gathered so far."""

    model: Model
    explainers: Mapping[str, Explainer]
    out: Path
    classes: Sequence[str]
    wanted: Wanted
    bags: BagFiles
    panels: Panels
    cases: list[dict[str, Any]] = field(default_factory=list)
    images: dict[str, ImageFigures] = field(default_factory=dict)
    shares: list[dict[str, float]] = field(default_factory=list)
    files: set[str] = field(default_factory=set)

    def add(self, batch: Batch) -> None:
        """Explains a batch."""
        wanted, model = self.wanted, self.model
        full = _logits(model, batch)
        with torch.no_grad():
            said = full if wanted.predict is None else logits_of(model, wanted.predict(batch))
        refuse_not_finite(batch.case_ids, said)
        if wanted.agreement is not None:
            wanted.agreement.add(batch, said, model.reads)
        chosen = chosen_classes(wanted.target, batch, said, self.classes)
        entries = case_entries(batch, said, chosen, model.reads, self.classes)
        self.cases += entries
        if wanted.shapley is not None:
            self._add_shares(entries, batch, chosen, wanted.shapley)
        scores = {name: one.explain(model, batch, chosen) for name, one in self.explainers.items()}
        for name, own in scores.items():
            check_scores(self.explainers[name], own, batch)
        self._add_images(entries, batch, full, scores)
        self._add_bags(entries, batch, scores)
        self._add_columns(entries, batch, scores)
        if wanted.faithfulness is not None:
            wanted.faithfulness.add(model, batch, chosen, self.explainers, scores)

    def _add_shares(self, entries: list[dict[str, Any]], batch: Batch, chosen: Tensor, shapley: Explainer) -> None:
        values, shares = stain_shares(self.model, batch, chosen, shapley)
        self.shares += shares
        for entry, value, share in zip(entries, values, shares, strict=True):
            entry |= {"shapley": value, "shares": share, "hardly_used": hardly_used(share)}

    def _add_images(self, entries: list[dict[str, Any]], batch: Batch, full: Tensor, scores: Scores) -> None:
        # Cases with nothing to look at have an arbitrary prediction; it says nothing about the map.
        seen = torch.stack([batch.present[modality] for modality in self.model.reads]).any(0)  # (B,)
        drawn: dict[str, dict[str, Tensor]] = {}
        for name, own in scores.items():
            signed = self.explainers[name].signed
            maps = {m: as_map(s, signed=signed) for m, s in own.items() if s.dim() == 3}
            if not maps:
                continue
            # Of maps by the pixel a few carry nearly all; the eye needs the others.
            seen_maps = {m: clipped(own_map) for m, own_map in maps.items()} if signed else maps
            drawn[name] = seen_maps
            found = self.images.setdefault(name, ImageFigures(masked={one.name: [] for one in self.wanted.maskings}))
            found.full.append(full[seen].cpu())
            found.target.append(batch.target[seen].cpu())
            found.patients += [
                patient for patient, there in zip(batch.patient_ids, seen.tolist(), strict=True) if there
            ]
            for masking in self.wanted.maskings:
                found.masked[masking.name].append(_logits(self.model, masked(batch, maps, masking))[seen].cpu())
                if self.wanted.faithfulness is not None:
                    by_chance = masked(batch, maps_by_chance(batch, maps, self.wanted.seed), masking)
                    found.by_chance.setdefault(masking.name, []).append(_logits(self.model, by_chance)[seen].cpu())
            draw_images(entries, batch, seen_maps, name, self.out, self.files, self.wanted.shown)
            if self.wanted.truth is not None:
                score_images(found, entries, maps, self.wanted.truth, name, self.wanted.seed)
        for row, entry in enumerate(entries):
            if drawn and self.wanted.shown(entry["case_id"]):
                self._raw(entry, {name: {m: s[row] for m, s in scores[name].items() if s.dim() > 1} for name in drawn})
                self.panels.add_images(entry, batch, row, drawn)

    def _raw(self, entry: dict[str, Any], own: Scores) -> None:
        for modality in entry["stains"]:
            values = {name: maps[modality].float().cpu().numpy() for name, maps in own.items() if modality in maps}
            if values:
                file = file_name(entry["case_id"], modality, self.files, "h5", "raw")
                RawScores(self.out / file, entry["case_id"], modality, entry["explained"]).write(values)
                entry.setdefault("raw", {})[modality] = file

    def _add_bags(self, entries: list[dict[str, Any]], batch: Batch, scores: Scores) -> None:
        for stain in (m for m in self.model.reads if isinstance(batch.x[m], Bags)):
            own = {name: list(by_slide(batch, stain, s[stain])) for name, s in scores.items() if stain in s}
            for row, entry in enumerate(entries):
                scored: dict[str, tuple[SlideScores, ...]] = {name: slides[row] for name, slides in own.items()}
                if any(scored.values()):
                    shown = self.wanted.shown(entry["case_id"])
                    self.bags.add(entry, scored, shown=shown)
                    if shown:
                        self.panels.add_bag(entry, scored, self.wanted.tissue)

    def _add_columns(self, entries: list[dict[str, Any]], batch: Batch, scores: Scores) -> None:
        for modality in self.model.reads:
            held = batch.x[modality]
            if isinstance(held, Bags) or held.dim() != 2:
                continue
            names = self.panels.columns_of(self.model, modality, held.shape[1])
            for name, own in scores.items():
                if modality not in own:
                    continue
                for row, entry in enumerate(entries):
                    if modality in entry["stains"]:
                        values = dict(zip(names, own[modality][row].tolist(), strict=True))
                        entry.setdefault("columns", {}).setdefault(name, {})[modality] = values

    def summary(self) -> dict[str, Any]:
        """What `explain.json` holds."""
        wanted = self.wanted
        notes = self.bags.notes() + (wanted.agreement.note() if wanted.agreement else [])
        summary: dict[str, Any] = {
            "explained": wanted.target,
            "encoder": type(self.model.encoder).__name__,
            "fusion": type(self.model.fusion).__name__,
            "classes": list(self.classes),
            "seed": wanted.seed,
            "notes": notes,
            "explainers": {name: self._figures(name) for name in self.explainers},
        }
        if wanted.agreement is not None:
            summary["agreement"] = {"cases": wanted.agreement.cases, "largest": wanted.agreement.largest}
        if self.shares:
            summary["shares"] = {"mean": mean_shares(self.shares), "hardly_used_below": HARDLY}
        if wanted.faithfulness is not None:
            summary["faithfulness"] = wanted.faithfulness.summary(self.cases, summary.get("shares", {}).get("mean", {}))
        return {**summary, "cases": self.cases}

    def _figures(self, name: str) -> dict[str, Any]:
        explainer = self.explainers[name]
        figures = self.images[name].summary() if name in self.images else {}
        if truth := self.bags.truth_of(name):
            figures["truth"] = truth
        options = {key: value for key, value in vars(explainer).items() if not key.startswith("_")}
        return {"component": type(explainer).__name__, "options": options, **figures}


def explain_cases(
    model: Model,
    batches: Iterable[Batch],
    explainers: Mapping[str, Explainer],
    out: Path,
    *,
    classes: Sequence[str],
    wanted: Wanted | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Explains every case by every explainer; writes pictures, files, `explain.json` and `explain.html`.

    Args:
        model: the trained model; it is not changed.
        batches: the cases, without augmentation and with only those stains present that the model may look at.
        explainers: by the name that their files and figures get.
        out: folder to write to; made if it is not there.
        classes: label names in the order of the class indices.
        wanted: what is explained, and against what it is held; None explains the predicted class.
        console: where progress is shown; None shows none.

    Returns:
        What `explain.json` holds.

    Raises:
        RunError: if the folder cannot be written to.
        NotFiniteError: if what the model says of a case is not.
        RecipeError: if the model does not classify, or has not what an explainer needs.
    """
    wanted = wanted or Wanted()
    make_folder(out)
    bags = BagFiles(out, wanted.patch_truth, wanted.seed, wanted.tissue)
    job = _Job(model, explainers, out, classes, wanted, bags, Panels(model.spec))
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    total = len(batches) if isinstance(batches, Sized) else None
    hidden = console is None
    for batch in track(batches, "explaining", total=total, console=console, disable=hidden, transient=True):
        job.add(batch.to(device))
    summary = job.summary()
    write_text(out / RESULT, json.dumps(summary, indent=2, allow_nan=False, default=str) + "\n")
    write_text(out / PAGE, job.panels.page(summary))
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
        return logits_of(model, model(batch))
