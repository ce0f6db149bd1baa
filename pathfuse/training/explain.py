"""Explaining the cases of a trained run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from pathfuse.core import Batch, Explainer
from pathfuse.data.slides_at_hand import SlidesAtHand
from pathfuse.errors import RecipeError, RunError
from pathfuse.explain.bags import explain_bags
from pathfuse.explain.patch_truth import patch_truth_beside
from pathfuse.explain.run import explain_cases
from pathfuse.explain.truth import truth_beside
from pathfuse.registry import EXPLAINERS
from pathfuse.training.evaluate import trained_task
from pathfuse.training.in_bags import predict_in_bags
from pathfuse.training.new_cases import check_cases
from pathfuse.training.plan import Plan
from pathfuse.training.stage import StageParser
from pathfuse.training.trust import trusted_imports

NO_SLIDES = (
    "The maps have no tissue beneath them, because the features do not say where their slides are. Lay them over the "
    "slides with --slides DIR."
)


def make_explainer(name: str, options: dict[str, str]) -> Explainer:
    """A registered explainer with options from the command line.

    Raises:
        PluginError: if no explainer has that name.
        RecipeError: if an option is unknown or has another type.
    """
    kind = EXPLAINERS.get(name)
    parser: ArgumentParser = StageParser(allow_abbrev=False)
    parser.add_class_arguments(kind, "explainer")
    with trusted_imports():
        config = parser.parse_args([f"--explainer.{key}={value}" for key, value in options.items()])
    explainer = kind(**config.explainer)
    if not isinstance(explainer, Explainer):
        raise TypeError(f"{name} is registered as an explainer, but is none")
    return explainer


def explain_run(
    plan: Plan,
    checkpoint: Path,
    explainer: Explainer | None,
    part: str,
    out: Path,
    pictures: Collection[str] | None,
    console: Console,
    *,
    slides: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Explains the cases of one part as the run was trained to see them, and prints the figures.

    Images are explained by an explainer, bags by the attention of the model itself.

    Args:
        plan: the recipe.
        checkpoint: its weights.
        explainer: makes maps of images; None is Grad-CAM, and what bags need.
        part: train, val, test or all.
        out: where files go.
        pictures: ids of the cases that get pictures; None takes all.
        console: where progress and figures are shown.
        slides: per stain, the folder of the slides behind bags, over which their maps are laid.

    Raises:
        RunError: if the part has no case, or a wanted case is not in it.
        RecipeError: if bags are to be explained by an explainer.
    """
    data = plan.data_of(plan.last)
    task = trained_task(plan, checkpoint)
    check_cases(data, task.spec)
    cases = {row.case_id for row in data.split_table() if part in (row.split, "all")}
    missing = sorted(set(pictures or ()) - cases)
    if missing or not cases:
        absent = f"{missing[0]} is not" if missing else "no case is"
        raise RunError(f"{absent} in the part {part!r} of the data. Choose another --part.")
    of_bags = any(task.spec[modality].in_bags for modality in task.model.reads)
    if of_bags and explainer is not None:
        raise RecipeError(
            f"--explainer {type(explainer).__name__} makes maps of single images, and this run reads bags, whose "
            "attention is shown. Leave --explainer out."
        )
    if slides and not of_bags:
        raise RecipeError("--slides is for runs that read bags of patches; this one reads images, which are shown.")
    data.setup("predict")
    shown = _Shown(data.predict_dataloader(), cases, task.given or list(task.model.reads))
    source, seed = data.cohort.origin, plan.stages[plan.last].seed
    model = task.model.eval()
    at_hand = SlidesAtHand.of_cases(data.cohort, slides or {})
    if of_bags:
        size = task.eval_bag_size
        summary = explain_bags(
            model,
            shown,
            out,
            classes=task.spec.classes,
            pictures=pictures,
            truth=patch_truth_beside(source) if source else None,
            predict=partial(predict_in_bags, model, patches=size) if size else None,
            tissue=at_hand,
            seed=seed,
            console=console,
        )
    else:
        summary = explain_cases(
            model,
            shown,
            explainer or make_explainer("GradCAM", {}),
            out,
            classes=task.spec.classes,
            pictures=pictures,
            truth=truth_beside(source) if source else None,
            seed=seed,
            console=console,
        )
    table = figures(summary)
    if table.row_count:
        console.print(table)
    drawn = any(case["pictures"] for case in summary["cases"])
    for note in [*summary.get("notes", []), *([NO_SLIDES] if of_bags and at_hand is None and drawn else [])]:
        console.print(note, highlight=False, soft_wrap=True, markup=False)
    console.print(f"{len(summary['cases'])} cases explained: {out}", highlight=False, soft_wrap=True)
    return summary


class _Shown:
    """Batches of some cases, with only some stains shown."""

    def __init__(self, loader: Iterable[Batch], cases: set[str], given: list[str]) -> None:
        self.loader, self.cases, self.given = loader, cases, given

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.loader:
            rows = [row for row, case in enumerate(batch.case_ids) if case in self.cases]
            if rows:
                yield batch.select(torch.tensor(rows)).keep(*self.given)


def figures(summary: dict[str, Any]) -> Table:
    """The figures of `explain.json` as a table."""
    table = Table("figure", "value", title="where the model looked", title_justify="left", box=None)
    for name, drop in summary.get("drop_in_accuracy", {}).items():
        table.add_row(f"Drop in Accuracy, {name} mask (relative, %)", _text(drop["relative"]))
        table.add_row(f"average drop, {name} mask (%)", _text(drop["average_drop"]))
    chance = "random weights" if summary["explainer"] == "attention" else "a random map"
    for stain, score in summary.get("truth", {}).items():
        table.add_row(f"AUC against the truth, {stain} ({score['cases']} cases)", _text(score["auc"]))
        table.add_row(f"AUC of {chance}, {stain}", _text(score["random_auc"]))
    return table


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
