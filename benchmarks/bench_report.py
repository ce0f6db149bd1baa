"""Time, size and memory of pages and comparisons: `python -m benchmarks.bench_report`.

The report of a run with 5,000 test cases, each given all combinations of two stains, has to take less than 20 s and
8 MB; the comparison of two runs on 1,000 patients with 10,000 draws and permutations less than 5 s and 500 MB, on one
core. Each is measured in a process of its own, after its imports. The limit of time is held against the time of
the processor, which other work on the machine does not lengthen; on a quiet one both are the same. Exits with 1
if a limit is missed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure.aims import Outcome, note
from benchmarks.measure.harness import options
from benchmarks.measure.machine import machine

CASES, PATIENTS, DRAWS = 5000, 1000, 10_000
NONE = float("inf")
LIMITS = {
    "report, s by the clock": NONE,
    "report, s of the processor": 20.0,
    "report, MB": 8.0,
    "comparison, s by the clock": NONE,
    "comparison, s of the processor": 5.0,
    "comparison, MB beyond its imports": 500.0,
}
MEASURE = """
import json, sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from benchmarks.measure.footprint import resident_mb
{imports}
before, began = resident_mb("VmRSS"), (time.perf_counter(), time.process_time())
{call}
seconds = time.perf_counter() - began[0], time.process_time() - began[1]
# Not ru_maxrss: that of a new process begins with what its parent had.
print(json.dumps([*seconds, resident_mb("VmHWM") - before]))
"""
ROOT = Path(__file__).resolve().parents[1]


def measured(imports: str, call: str) -> tuple[float, float, float]:
    """Seconds of the call, by the clock and of the processor, and MB of memory beyond its imports, on one core."""
    one = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    text = MEASURE.format(root=str(ROOT), imports=imports, call=call)
    done = subprocess.run(
        [sys.executable, "-c", text], env={**os.environ, **one}, check=True, capture_output=True, text=True
    )
    clock, processor, memory = json.loads(done.stdout.splitlines()[-1])
    return clock, processor, memory


def shown(limit: float) -> str:
    return "" if limit == NONE else f"{limit:g}"


def main(words: Sequence[str] | None = None) -> int:
    parser = options(__doc__.splitlines()[0])
    chosen = parser.parse_args(words)
    from tests.evaluate.runs import write_run
    from tests.report.runs import write_whole_run

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = write_whole_run(folder / "run", patients=CASES // 2, per_patient=2)
        runs = [str(write_run(folder / name, seed=seed, patients=PATIENTS)) for seed, name in enumerate("ab")]
        report = measured("from pathfuse.report.write import write_report", f"write_report(Path({str(run)!r}))")
        size = (run / "report.html").stat().st_size / 2**20
        compare = measured(
            "from pathfuse.evaluate.compare.compare import compare_runs\n"
            "from pathfuse.evaluate.compare.run import read_runs\n"
            "from pathfuse.evaluate.compare.findings import CompareOptions",
            f"compare_runs(read_runs([Path(run) for run in {runs!r}]), "
            f"CompareOptions(draws={DRAWS}, permutations={DRAWS}))",
        )
    found = dict(zip(LIMITS, (*report[:2], size, *compare), strict=True))
    table = Table("what", "measured", "limit", title="Reports and comparisons, one core")
    for name, value in found.items():
        table.add_row(name, f"{value:.1f}", shown(LIMITS[name]))
    Console(width=110).print(table, machine(), highlight=False)
    if chosen.markdown is not None:
        lines = ["\n### Reports and comparisons\n", "| what | measured | limit |", "|---|--:|--:|"]
        lines += [f"| {name} | {value:.1f} | {shown(LIMITS[name])} |" for name, value in found.items()]
        with chosen.markdown.open("a") as file:
            file.write("\n".join([*lines, "", machine(), ""]))
    limited = {name: value for name, value in found.items() if LIMITS[name] != NONE}
    outcomes = [
        Outcome(name, f"at most {LIMITS[name]:g}", f"{v:.1f}", v <= LIMITS[name]) for name, v in limited.items()
    ]
    return int(not all(outcome.met for outcome in note(*outcomes)))


if __name__ == "__main__":
    sys.exit(main())
