"""Explaining the cases of a trained run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from pathfuse.core import Batch
from pathfuse.data.contract import CaseData
from pathfuse.data.slides_at_hand import SlidesAtHand
from pathfuse.errors import RecipeError, RunError, did_you_mean
from pathfuse.evaluate.names import stain_name
from pathfuse.explain import (
    Agreement,
    Faithfulness,
    Masking,
    Wanted,
    class_index,
    explain_cases,
    patch_truth_beside,
    refuse_what_it_cannot_read,
    truth_beside,
)
from pathfuse.explain.asked import LABEL, PREDICTED
from pathfuse.explain.images import DROP_BY_CHANCE
from pathfuse.explain.stains import HARDLY
from pathfuse.inference.asked.new_cases import check_cases
from pathfuse.inference.explainers import default_explainer, make_explainer, make_explainers
from pathfuse.inference.in_bags import predict_in_bags
from pathfuse.inference.plan import Plan
from pathfuse.inference.predict import trained_task
from pathfuse.inference.task import Task
from pathfuse.registry import EXPLAINERS
from pathfuse.runs.files import PREDICTIONS
from pathfuse.runs.folder import RunFolder

SHAPLEY = "StainShapley"
MASKINGS = (Masking(), Masking("hard"), Masking("top"))
NO_SLIDES = (
    "The maps have no tissue beneath them, because the features do not say where their slides are. Lay them over the "
    "slides with --slides DIR."
)


@dataclass(frozen=True)
class Asked:
    """What a user asks to be explained.

    Attributes:
        explainers: names of components; none takes the default of what the run reads.
        options: of the explainers, by name.
        target: `predicted`, `label`, or the name of a class.
        part: train, val, test or all.
        pictures: ids of the cases that get pictures; None takes all.
        alone: whether only those cases are explained, and the figures are of them.
        slides: per stain, the folder of the slides behind bags, over which their maps are laid.
        faithfulness: whether to measure how far the maps can be believed.
        run: the run whose evaluation is compared with; None compares with nothing.
    """

    explainers: Sequence[str] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    target: str = PREDICTED
    part: str = "test"
    pictures: Collection[str] | None = None
    alone: bool = False
    slides: Mapping[str, Path] | None = None
    faithfulness: bool = False
    run: Path | None = None


def explain_run(plan: Plan, checkpoint: Path, asked: Asked, out: Path, console: Console) -> dict[str, Any]:
    """Explains the cases of one part as the run was trained to see them, and prints the figures.

    Args:
        plan: the recipe.
        checkpoint: its weights.
        asked: what is to be explained.
        out: where files go.
        console: where progress and figures are shown.

    Raises:
        RunError: if the part has no case, or a wanted case is not in it.
        RecipeError: if an explainer cannot explain what the run reads, or the class is none of the run's.
    """
    data = plan.data_of(plan.last)
    task = trained_task(plan, checkpoint)
    reads, spec = task.model.reads, task.spec
    check_cases(data, spec)
    names = asked.explainers or [task.model.explained_by or default_explainer(spec, reads)]
    explainers = make_explainers(names, asked.options)
    for name, explainer in explainers.items():
        refuse_what_it_cannot_read(name, explainer, spec, reads)
    if asked.target not in (PREDICTED, LABEL):
        class_index(asked.target, spec.classes)
    if asked.slides and not any(spec[modality].in_bags for modality in reads):
        raise RecipeError("--slides is for runs that read bags of patches; this one reads images, which are shown.")
    cases = _cases(data, asked)
    data.prepare_data()
    shown = _Shown(data.cases_dataloader(cases), task.given or list(reads))
    wanted = _wanted(asked, task, data, plan.stages[plan.last].seed)
    model = task.model.eval()
    summary = explain_cases(model, shown, explainers, out, classes=spec.classes, wanted=wanted, console=console)
    _say(summary, out, console)
    drawn = any(case["pictures"] for case in summary["cases"])
    if drawn and wanted.tissue is None and any(spec[modality].in_bags for modality in reads):
        console.print(NO_SLIDES, highlight=False, soft_wrap=True)
    return summary


def _cases(data: CaseData, asked: Asked) -> set[str]:
    parts = {row.case_id: row.split for row in data.split_table()}
    cases = {case for case, part in parts.items() if asked.part in (part, "all")}
    missing = sorted(set(asked.pictures or ()) - cases)
    if missing and missing[0] not in parts:
        guess = did_you_mean(missing[0], parts) or f" The first is {min(parts)}." if parts else ""
        raise RunError(f"--case_ids: no case is called {missing[0]!r}.{guess}")
    if missing or not cases:
        absent = f"{missing[0]} is not" if missing else "no case is"
        of = f"; its part is {parts[missing[0]] or 'none'}" if missing else ""
        raise RunError(f"{absent} in the part {asked.part!r} of the data{of}. Choose another --part.")
    return set(asked.pictures) if asked.alone and asked.pictures else cases


def _wanted(asked: Asked, task: Task, data: CaseData, seed: int) -> Wanted:
    size, source = task.eval_bag_size, data.cohort.origin
    truth = truth_beside(source) if source else None
    patch_truth = patch_truth_beside(source) if source else None
    in_bags = any(task.spec[modality].in_bags for modality in task.model.reads)
    return Wanted(
        target=asked.target,
        pictures=asked.pictures,
        truth=truth,
        patch_truth=patch_truth,
        predict=partial(predict_in_bags, task.model, patches=size) if size and in_bags else None,
        tissue=SlidesAtHand.of_cases(data.cohort, asked.slides or {}) if in_bags else None,
        shapley=make_explainer(SHAPLEY, {}) if SHAPLEY in EXPLAINERS.names() and _several(task) else None,
        agreement=None if asked.run is None else Agreement(_written(asked.run, task.spec.classes)),
        faithfulness=Faithfulness(seed, truth, patch_truth) if asked.faithfulness else None,
        maskings=MASKINGS if asked.faithfulness else MASKINGS[:1],
        seed=seed,
    )


def _several(task: Task) -> bool:
    """Whether the model is shown more than one modality, so that their shares say something."""
    return 1 < len([name for name in task.model.reads if name in (task.given or task.model.reads)]) <= 10


def _written(path: Path, classes: Sequence[str]) -> dict[tuple[str, frozenset[str]], list[float]]:
    """The probabilities that the run's own evaluation wrote, by case and stains; nothing if it was not tested."""
    run = RunFolder(path)
    if not run.has(PREDICTIONS):
        return {}
    columns = [f"p_{name}" for name in classes]
    return {
        (row["case_id"], frozenset(row["subset"].split("+"))): [float(row[column]) for column in columns]
        for row in run.predictions.lines
        if all(column in row for column in columns)
    }


class _Shown:
    """Batches with only some stains shown."""

    def __init__(self, loader: DataLoader[Batch], given: list[str]) -> None:
        self.loader, self.given = loader, given

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        return (batch.keep(*self.given) for batch in self.loader)


def _say(summary: dict[str, Any], out: Path, console: Console) -> None:
    table = figures(summary)
    if table.row_count:
        console.print(table)
    shares = summary.get("shares", {}).get("mean", {})
    if shares:
        words = ", ".join(f"{stain_name(name)} {100 * share:.0f} %" for name, share in shares.items())
        hardly = [stain_name(name) for name, share in shares.items() if share < HARDLY]
        said = f"; hardly used: {', '.join(hardly)}" if hardly else ""
        console.print(f"share of each stain (StainShapley): {words}{said}", highlight=False, soft_wrap=True)
    lines = summary.get("faithfulness", {}).get("sentences", [])
    for line in [*lines, *summary["notes"]]:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    count = len(summary["cases"])
    console.print(f"{count} case{'s' if count != 1 else ''} explained: {out}", highlight=False, soft_wrap=True)


def figures(summary: dict[str, Any]) -> Table:
    """The figures of `explain.json` as a table."""
    table = Table("explainer", "figure", "value", title="where the model looked", title_justify="left", box=None)
    for explainer, own in summary["explainers"].items():
        for name, drop in own.get("drop_in_accuracy", {}).items():
            interval = f"{_text(drop['relative'])} ({_text(drop['relative_low'])} to {_text(drop['relative_high'])})"
            table.add_row(explainer, f"Drop in Accuracy, {name} mask (relative, %)", interval)
            table.add_row(explainer, f"average drop, {name} mask (%)", _text(drop["average_drop"]))
            if chance := own.get(DROP_BY_CHANCE, {}).get(name):
                table.add_row(explainer, f"Drop in Accuracy of a random map, {name} mask", _text(chance["relative"]))
        for stain, score in own.get("truth", {}).items():
            table.add_row(
                explainer, f"AUC against the truth, {stain_name(stain)} ({score['cases']} cases)", _text(score["auc"])
            )
            table.add_row(explainer, f"AUC of a random map, {stain_name(stain)}", _text(score["random_auc"]))
    return table


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
