"""The step of a study that explains its runs: where each model looked, and what that is worth."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.console import Console

from pathfuse.runs.folder import RunFolder
from pathfuse.study.reading import mapping, refuse_unknown, words

KEYS = ("explainer", "options", "variants")
FOLDER = "explain"
RESULT = "explain.json"


@dataclass(frozen=True)
class ExplainStep:
    """What is explained of which variants; the test cases of every run, with pictures of one per class.

    Attributes:
        explainer: a component; empty takes Grad-CAM for images, and the attention of models of bags.
        options: of the explainer, by name.
        variants: names, with stars.
    """

    explainer: str = ""
    options: tuple[tuple[str, str], ...] = ()
    variants: tuple[str, ...] = ("*",)

    def reaches(self, variant: str) -> bool:
        """Whether runs of a variant are explained."""
        return any(fnmatch.fnmatchcase(variant, pattern) for pattern in self.variants)

    def done(self, run: RunFolder) -> bool:
        """Whether a run is explained."""
        return run.has(f"{FOLDER}/{RESULT}")


def read_explain(value: object, place: str) -> ExplainStep | None:
    """The part `explain` of a study; None where there is none.

    Raises:
        RecipeError: naming the place and the nearest known word.
    """
    if value is None:
        return None
    found = mapping(value, place)
    refuse_unknown(found, KEYS, place, "key of explain")
    options = tuple((str(key), str(own)) for key, own in mapping(found.get("options"), f"{place}.options").items())
    return ExplainStep(str(found.get("explainer") or ""), options, words(found.get("variants"), place) or ("*",))


def explain_finished(run: RunFolder, step: ExplainStep, console: Console) -> None:
    """Explains the test cases of a finished run into `explain/` of its folder.

    Args:
        run: the run.
        step: how.
        console: where figures go.
    """
    # Torch is imported by the first run, not by whoever reads a study.
    from pathfuse.training.evaluate import run_plan
    from pathfuse.training.explain import explain_run, make_explainer

    out = run.path / FOLDER
    if out.is_dir():
        # Stopped on the way: its figures are written last.
        shutil.rmtree(out)
    explainer = make_explainer(step.explainer, dict(step.options)) if step.explainer else None
    plan = run_plan(run)
    explain_run(plan, run.selected(plan.last), explainer, "test", out, one_per_class(run.predictions.lines), console)


def one_per_class(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """The first test case of every class, of those in `predictions.csv`."""
    first: dict[str, str] = {}
    for row in rows:
        if row["target"] and row["split"] in ("test", ""):
            first.setdefault(row["target"], row["case_id"])
    return list(first.values())
