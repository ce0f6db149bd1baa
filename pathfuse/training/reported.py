"""The report at the end of a run. It never fails the run: the numbers are on disk before it begins."""

from __future__ import annotations

from rich.console import Console

from pathfuse.runs.folder import RunFolder
from pathfuse.training.examples import write_cohort, write_examples
from pathfuse.training.notes import print_note
from pathfuse.training.plan import Plan
from pathfuse.training.weights_used import write_weights


def report_run(plan: Plan, run: RunFolder, console: Console) -> None:
    """Writes what a report needs of the data, then the report itself.

    Args:
        plan: what was trained.
        run: its folder, with the predictions of the test.
        console: gets a note with the reason where something cannot be written.
    """
    # Drawing is slow to import, and most of what a run does needs none of it.
    from pathfuse.report.write import write_run_report

    try:
        write_cohort(plan, run)
        write_weights(run)
        write_examples(plan, run)
        page = write_run_report(run.path)[0]
    except Exception as error:  # noqa: BLE001 - whatever it is, the run is complete without its report
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        print_note(f"there is no report ({reason}). Try again with: pathfuse report {run.path}", console)
        return
    console.print(f"report: {page}", highlight=False, soft_wrap=True)
