"""Explaining the finished runs of a study: where each model looked, and what that is worth."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping

from rich.console import Console

from pathfuse.runs.files import EXPLANATION
from pathfuse.runs.folder import RunFolder
from pathfuse.study.definition.explain import ASKED, ExplainStep


def explain_finished(run: RunFolder, step: ExplainStep, console: Console) -> None:
    """Explains the test cases of a finished run into `explain/` of its folder, and seals the figures.

    Args:
        run: the run.
        step: how.
        console: where figures go.
    """
    # Torch is imported by the first run, not by whoever reads a study.
    from pathfuse.inference.explain import Asked, explain_run
    from pathfuse.inference.predict import run_plan

    out = (run.path / EXPLANATION).parent
    if out.is_dir():
        # Stopped on the way, or asked otherwise: what was asked is written last.
        shutil.rmtree(out)
    run.seal.drop([EXPLANATION])
    shown = one_per_class(run.predictions.lines)
    asked = Asked(
        step.explainers,
        dict(step.options),
        step.target,
        pictures=shown,
        faithfulness=step.faithfulness,
        run=run.path,
    )
    plan = run_plan(run)
    explain_run(plan, run.selected(plan.last), asked, out, console)
    run.seal_files(EXPLANATION)
    run.write_json(ASKED, step.asked(run))


def one_per_class(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """The first test case of every class, of those in `predictions.csv`."""
    first: dict[str, str] = {}
    for row in rows:
        if row["target"] and row["split"] in ("test", ""):
            first.setdefault(row["target"], row["case_id"])
    return list(first.values())
