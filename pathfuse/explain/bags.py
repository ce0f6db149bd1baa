"""Explains the cases of a model on bags by its own attention: tables, heat maps and one file of figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence, Sized
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from pathfuse.core import Batch, Model, Prediction
from pathfuse.core.finite import refuse_not_finite
from pathfuse.errors import RecipeError
from pathfuse.explain.attention import SlideAttention, by_slide, patch_attention
from pathfuse.explain.attention_files import MOST_SQUARES, write_geojson, write_table
from pathfuse.explain.entries import case_entries, file_name, finite, said_of
from pathfuse.explain.heat_map import Tissue, write_heat_map
from pathfuse.explain.patch_truth import PatchTruth, attention_auc
from pathfuse.explain.run import make_folder
from pathfuse.explain.truth import mean_score
from pathfuse.system.files import write_text

TABLES = "attention"
NO_PLACES = (
    "say not where their patches lie, so they have no picture, and x and y of their table are empty; extract features "
    "with coordinates"
)
NO_EDGE = (
    "say not how large a patch is: the pictures take the smallest step between patches, and there is no GeoJSON; "
    "set data.patch_size_level0"
)
TOO_MANY = f"have more than {MOST_SQUARES:,} patches and no GeoJSON, which QuPath would be slow with; see their tables"


@dataclass
class _Job:
    """What is asked for, and what has been gathered so far."""

    out: Path
    classes: Sequence[str]
    pictures: Collection[str] | None
    truth: PatchTruth | None
    seed: int
    tissue: Tissue | None = None
    cases: list[dict[str, Any]] = field(default_factory=list)
    scores: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    lacks: dict[str, list[str]] = field(default_factory=dict)

    def add(self, batch: Batch, said: Prediction, attention: dict[str, Tensor]) -> None:
        """Writes the files of a batch and keeps its figures."""
        assert said.logits is not None
        entries = case_entries(batch, said.logits, attention, self.classes)
        self.cases += entries
        for stain, weight in attention.items():
            for entry, slides in zip(entries, by_slide(batch, stain, weight), strict=True):
                if slides:
                    self._add_case(entry, slides)

    def _add_case(self, entry: dict[str, Any], slides: Sequence[SlideAttention]) -> None:
        stain = slides[0].stain
        score = None if self.truth is None else attention_auc(slides, self.truth, self.seed)
        if score is not None:
            self.scores.setdefault(stain, []).append(score)
            entry.setdefault("truth_auc", {})[stain] = score[0]
        if self.pictures is not None and entry["case_id"] not in self.pictures:
            return
        table = f"{TABLES}/{file_name(entry['case_id'], stain, self.files, 'csv')}"
        write_table(self.out / table, slides)
        entry.setdefault("tables", {})[stain] = table
        for one in slides:
            self._draw(entry, one)

    def _draw(self, entry: dict[str, Any], one: SlideAttention) -> None:
        """The heat map of a slide and, for QuPath, its squares."""
        why = None
        if one.places is None:
            why = NO_PLACES
        else:
            name = file_name(one.slide.slide_id, one.stain, self.files)
            write_heat_map(self.out / name, one, f"{said_of(entry)}, {len(one.weight):,} patches", self.tissue)
            entry["pictures"].setdefault(one.stain, []).append(name)
            if one.slide.patch_size_level0 is None:
                why = NO_EDGE
            elif len(one.weight) > MOST_SQUARES:
                why = TOO_MANY
            else:
                write_geojson((self.out / name).with_suffix(".geojson"), one)
        if why:
            self.lacks.setdefault(why, []).append(f"{one.slide.slide_id}, {one.stain}")

    def summary(self, fusion: str) -> dict[str, Any]:
        """What `explain.json` holds."""
        notes = [f"{len(names)} slides (first {names[0]}) {why}." for why, names in self.lacks.items()]
        summary: dict[str, Any] = {"explainer": "attention", "fusion": fusion, "explained": "predicted class"}
        summary |= {"seed": self.seed, "notes": notes}
        if self.scores:
            summary["truth"] = {stain: finite(asdict(mean_score(own))) for stain, own in self.scores.items()}
        return {**summary, "cases": self.cases}


def explain_bags(
    model: Model,
    batches: Iterable[Batch],
    out: Path,
    *,
    classes: Sequence[str],
    pictures: Collection[str] | None = None,
    truth: PatchTruth | None = None,
    predict: Callable[[Batch], Prediction] | None = None,
    tissue: Tissue | None = None,
    seed: int = 0,
    console: Console | None = None,
) -> dict[str, Any]:
    """Writes what weight the model gave to every patch, and `explain.json`, and returns its content.

    Args:
        model: the trained model in eval mode; its fusion block says what it looked at.
        batches: the cases, with only those stains present that the model may look at.
        out: folder to write to; made if it is not there.
        classes: label names in the order of the class indices.
        pictures: ids of the cases that get tables and pictures; None takes all. The figures are over all cases.
        truth: which patches carry the signal, where that is known.
        predict: says what is predicted of a batch, where that is not what the model says of whole bags.
        tissue: gives the picture of a region of a slide, over which maps are laid; None where no slide is at hand.
        seed: of the random weights that stand beside the attention.
        console: where progress is shown; None shows none.

    Raises:
        RunError: if the folder cannot be written to.
        RecipeError: if the model has no attention over patches, or does not classify.
    """
    make_folder(out)
    job = _Job(out, classes, pictures, truth, seed, tissue)
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    total = len(batches) if isinstance(batches, Sized) else None
    hidden = console is None
    for batch in track(batches, "explaining", total=total, console=console, disable=hidden, transient=True):
        moved = batch.to(device)
        with torch.no_grad():
            fused = model.fuse(moved)
            said: Prediction = model.head(fused) if predict is None else predict(moved)
        attention = patch_attention(moved, fused.attention)
        _check(model, attention, said)
        assert said.logits is not None
        refuse_not_finite(moved.case_ids, said.logits)
        job.add(moved, said, attention)
    summary = job.summary(type(model.fusion).__name__)
    write_text(out / "explain.json", json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return summary


def _check(model: Model, attention: dict[str, Tensor], said: Prediction) -> None:
    if not attention:
        raise RecipeError(
            f"explain: {type(model.fusion).__name__} gives no weight to single patches, so there is nothing to show. "
            "Train with a fusion block that does, such as AttentionFusion."
        )
    if said.logits is None:
        raise RecipeError(f"explain: {type(model.head).__name__} does not classify, so there is no class to explain.")
