"""The step of a study that explains its runs: where each model looked, and what that is worth."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.console import Console

from pathfuse.errors import RecipeError
from pathfuse.runs.folder import RunFolder
from pathfuse.study.definition.strict import mapping, refuse_unknown, words

KEYS = ("explainer", "options", "variants", "faithfulness")
FOLDER = "explain"
RESULT = "explain.json"


@dataclass(frozen=True)
class ExplainStep:
    """What is explained of which variants; the test cases of every run, with pictures of one per class.

    Attributes:
        explainer: a component; empty takes Grad-CAM for images, and the attention of models of bags.
        options: of the explainer, by name.
        variants: names, with stars.
        faithfulness: whether to measure how far the maps can be believed.
    """

    explainer: str = ""
    options: tuple[tuple[str, str], ...] = ()
    variants: tuple[str, ...] = ("*",)
    faithfulness: bool = False

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
    believed = found.get("faithfulness", False)
    if not isinstance(believed, bool):
        raise RecipeError(f"{place}.faithfulness is {believed!r}. Write true or false.")
    variants = words(found.get("variants"), place) or ("*",)
    return ExplainStep(str(found.get("explainer") or ""), options, variants, believed)


def explain_finished(run: RunFolder, step: ExplainStep, console: Console) -> None:
    """Explains the test cases of a finished run into `explain/` of its folder.

    Args:
        run: the run.
        step: how.
        console: where figures go.
    """
    # Torch is imported by the first run, not by whoever reads a study.
    from pathfuse.training.evaluate import run_plan
    from pathfuse.training.explain import Asked, explain_run

    out = run.path / FOLDER
    if out.is_dir():
        # Stopped on the way: its figures are written last.
        shutil.rmtree(out)
    plan = run_plan(run)
    names, shown = [step.explainer] if step.explainer else [], one_per_class(run.predictions.lines)
    asked = Asked(names, dict(step.options), pictures=shown, faithfulness=step.faithfulness, run=run.path)
    explain_run(plan, run.selected(plan.last), asked, out, console)


def one_per_class(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """The first test case of every class, of those in `predictions.csv`."""
    first: dict[str, str] = {}
    for row in rows:
        if row["target"] and row["split"] in ("test", ""):
            first.setdefault(row["target"], row["case_id"])
    return list(first.values())
