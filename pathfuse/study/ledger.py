"""runs.csv: what became of every run, kept up by any number of processes; and which runs are finished."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from pathfuse.errors import RunError, cannot_be_read
from pathfuse.runs.folder import RunFolder
from pathfuse.study.jobs import Job
from pathfuse.system.csv_table import read_csv
from pathfuse.system.csv_writing import CsvWriter
from pathfuse.system.files import atomic_text
from pathfuse.system.locks import FileLock, held

State = Literal["done", "skipped", "failed", "busy"]
MARK = "study.json"
RUNS = "runs.csv"


@dataclass(frozen=True)
class RunState:
    """One line of `runs.csv`.

    Attributes:
        variant: name of the variant.
        seed: of the run.
        repeat: of the folds.
        fold: of that repeat.
        status: `done`, `skipped` (was done before), `failed`, or `busy` (another process does it).
        seconds: time it took.
        reason: why it failed, in one line.
    """

    variant: str
    seed: str
    repeat: str
    fold: str
    status: State
    seconds: str = ""
    reason: str = ""

    @classmethod
    def of(cls, job: Job, status: State, seconds: float | None = None, reason: str = "") -> RunState:
        """The line of a run."""
        took = "" if seconds is None else f"{seconds:.1f}"
        return cls(job.variant, str(job.seed), str(job.repeat), str(job.fold), status, took, reason)

    @property
    def key(self) -> tuple[str, int, int, int]:
        """Which run it is."""
        return self.variant, int(self.seed), int(self.repeat), int(self.fold)


COLUMNS = tuple(field.name for field in fields(RunState))


def is_finished(job: Job) -> bool:
    """Whether nothing is left to do: same recipe, folds and cases, predictions as it wrote them, explained if asked."""
    run = RunFolder(job.folder)
    try:
        explained = job.explain is None or job.explain.done(run)
        return run.json(MARK).get("sha256") == job.sha256 and run.sealed and explained
    except RunError:
        return False


def mark_finished(job: Job) -> None:
    """Remembers what the run was done with; written last."""
    RunFolder(job.folder).write_json(MARK, {"sha256": job.sha256})


def lock_of(job: Job) -> FileLock:
    """The right to do a run; beside its folder, which is empty before the run begins."""
    return FileLock(job.folder.parent / f".{job.folder.name}.lock")


def record(out: Path, state: RunState) -> None:
    """Puts one run's line into `runs.csv`; a skipped run keeps the line of when it was done.

    Raises:
        RunError: if the table cannot be written.
    """
    table = out / RUNS
    with held(table, table.with_name(".runs.lock")):
        rows = read_runs_table(table)
        if state.status == "skipped" and rows.get(state.key, state).status == "done":
            return
        rows[state.key] = state
        with atomic_text(table) as file:
            writer = CsvWriter(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(astuple(rows[key]) for key in sorted(rows))


def read_runs_table(table: Path) -> dict[tuple[str, int, int, int], RunState]:
    """The lines by run; empty if there is no table.

    Raises:
        RunError: if it is not the table that a study writes.
    """
    if not table.is_file():
        return {}
    advice = "Remove it; the next run of the study writes it."
    try:
        rows = [RunState(**row) for row in read_csv(table, COLUMNS, known=(), advice=advice)]  # type: ignore[arg-type]
        return {row.key: row for row in rows}
    except ValueError as error:
        raise cannot_be_read(RunError, table, error, advice) from error
