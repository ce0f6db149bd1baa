"""Runs every benchmark and ends in one table of aims: `python -m benchmarks.every [NAME ...]`, as `make bench` does.

Exits with 1 where an aim is missed or a benchmark fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure.aims import KEPT_IN, Outcome, noted
from benchmarks.measure.machine import machine, rates

HERE = Path(__file__).parent


def main(words: Sequence[str]) -> int:
    """Runs the benchmarks of these names, or all of them, each in a process of its own."""
    names = list(words) or sorted(path.stem for path in HERE.glob("bench_*.py") if path.stem != "bench_gpu")
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "outcomes"
        rows = []
        for name in names:
            rows += [(name, outcome) for outcome in outcomes(name, kept)]
    return shown(rows)


def outcomes(name: str, kept: Path) -> list[Outcome]:
    """What a benchmark noted, and a line more if it ended badly without saying why."""
    kept.unlink(missing_ok=True)
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], env={**os.environ, KEPT_IN: str(kept)})
    found = noted(kept)
    if done.returncode and all(outcome.met for outcome in found):
        found.append(Outcome("the benchmark itself", "exit status 0", str(done.returncode), met=False))
    return found


def shown(rows: Sequence[tuple[str, Outcome]]) -> int:
    """Prints the table; 1 if something is missed."""
    table = Table("bench", "what", "aim", "reached", "share of floor", "", title="Aims")
    for name, outcome in rows:
        share = "" if outcome.share is None else f"{outcome.share:.2f}"
        table.add_row(
            name.removeprefix("bench_"),
            outcome.what,
            outcome.aim,
            outcome.reached,
            share,
            "" if outcome.met else "MISSED",
        )
    Console(width=150).print(table, machine(), rates(), sep="\n", highlight=False)
    return int(not all(outcome.met for _, outcome in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
