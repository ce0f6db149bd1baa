"""Time of a start: case tables, 10,000 feature files, and whole commands. `python -m benchmarks.bench_start`.

A table of 100,000 rows has to be read in less than 2 s of the processor, one of 2,000 columns in no more per cell than
twice what 20 columns take, and the first batch of 10,000 files has to be there in less than 10 s once their headers are
known. Loading a run and asking it once takes at most 2.5 s, `predict` and `explain` of one case 3 s each. Exits with 1
if a limit is missed. `--only commands` leaves the tables and files out. Whole commands are given in seconds of the
processor, which another process on the machine hardly changes, and of the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from benchmarks.measure.aims import Outcome, note
from pathfuse.cohort import Cohort
from pathfuse.cohort.sources.case_table import scan_cases
from pathfuse.data.paired_bags import PairedBags

FILES = 10_000
ROOT = Path(__file__).resolve().parents[1]
LIMITS_S = {"load and one prediction in Python": 2.5, "predict of one case": 3.0, "explain of one case": 3.0}


def processor_s(call: Callable[[], object]) -> float:
    """Seconds of the processor."""
    began = time.process_time()
    call()
    return time.process_time() - began


def long_table(path: Path, rows: int) -> Path:
    """A row per file, two files per case."""
    with path.open("w") as file:
        file.write("case_id,patient_id,modality,path,label,split,site,mpp\n")
        for i in range(rows):
            case, stain, part = i // 2, ("ihc", "he")[i % 2], ("train", "val", "test")[i // 4 % 3]
            file.write(f"c{case},p{i // 4},{stain},s/{i}.svs,{case % 4}+,{part},A,0.25\n")
    return path


def wide_table(path: Path, rows: int, columns: int) -> Path:
    """A row per case with further columns of numbers."""
    with path.open("w") as file:
        file.write("case_id,patient_id,he,label," + ",".join(f"x{j}" for j in range(columns)) + "\n")
        for i in range(rows):
            file.write(f"c{i},p{i},a{i}.svs,{i % 4}+," + ",".join(str(i * j % 97 / 7) for j in range(columns)) + "\n")
    return path


def write_features(folder: Path) -> Path:
    """A case table and a small feature file per case, each with other numbers."""
    rng = np.random.default_rng(0)
    for i in range(FILES):
        with h5py.File(folder / f"s{i}.h5", "w") as file:
            file["features"] = rng.random((16, 32), np.float32)
            file["coords"] = rng.integers(0, 9999, (16, 2))
            file["coords"].attrs["patch_size_level0"] = 256
    table = folder / "cases.csv"
    rows = [f"c{i},p{i},s{i}.h5,{i % 2},{('train', 'train', 'val', 'test')[i % 4]}" for i in range(FILES)]
    table.write_text("\n".join(["case_id,patient_id,he,label,split", *rows]) + "\n")
    return table


def first_batch(table: Path) -> None:
    """What a fit does before its first step."""
    data = PairedBags(Cohort(cases=str(table), cache=str(table.parent / "cache")), modalities=["he"])
    data.prepare_data()
    next(iter(data.train_dataloader()))


def command(folder: Path, *words: str, **environment: str) -> tuple[float, float]:
    """Seconds of the processor and of the clock that a new Python takes, with its imports."""
    before, began = os.times(), time.time()
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    after = os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return used, time.time() - began


def fixed_costs(folder: Path) -> dict[str, tuple[float, float]]:
    """What a fit of a few demo bags costs beside its steps, and what a trained model costs to ask once."""
    marks = folder / "marks.json"
    callback = {"class_path": "benchmarks.measure.fit_marks.Marks", "init_args": {"file": str(marks)}}
    words = ["--recipe=attention_mil", "--cohort.demo.patients=24", "--data.pictures.grid=3", "--trainer.max_epochs=1"]
    fit = ["-m", "pathfuse", "fit", *words]
    command(folder, *fit, "--out=run")  # draws the cohort; its recipe names nothing of this folder, and may be loaded
    began = time.time()
    words = [*fit, "--out=timed", f"--trainer.callbacks+={json.dumps(callback)}"]
    used, passed = command(folder, *words, PATHFUSE_TRUST="benchmarks", PYTHONPATH=str(ROOT))
    first, last = (json.loads(marks.read_text())[key] for key in ("first", "last"))
    model = "pathfuse.load('run')"
    ask = f"import numpy, pathfuse; m = {model}; m.predict({{'he': numpy.zeros((9, m.spec['he'].width), 'float32')}})"
    table = next((folder / "cache").rglob("cases.csv")).read_text().splitlines()
    source = next((folder / "cache").rglob("cases.csv")).with_name("one.csv")
    source.write_text("\n".join(table[:2]) + "\n")
    return {
        "fit: process start to first batch": (first[0], first[1] - began),
        "fit: last batch to report": (used - last[0], began + passed - last[1]),
        "load and one prediction in Python": command(folder, "-c", ask),
        "predict of one case": command(folder, "-m", "pathfuse", "predict", "run", f"--cases={source}", "--out=asked"),
        "explain of one case": command(folder, "-m", "pathfuse", "explain", "run", f"--cases={source}", "--out=shown"),
    }


def tables_and_files(folder: Path) -> list[Outcome]:
    """Prints the figures of tables and files, and how they stand to their limits."""
    figures = {}
    for rows in (25_000, 100_000):
        path = long_table(folder / "long.csv", rows)
        figures[f"{rows:,} rows"] = processor_s(partial(scan_cases, path, check_files=False))
    for columns in (20, 2000):
        path = wide_table(folder / "wide.csv", 200_000 // columns, columns)
        read = partial(scan_cases, path, check_files=False)
        figures[f"200,000 cells in {columns:,} columns"] = processor_s(read)
    table = write_features(folder)
    figures[f"first batch of {FILES:,} files, headers unknown"] = processor_s(lambda: first_batch(table))
    figures[f"first batch of {FILES:,} files, headers known"] = processor_s(lambda: first_batch(table))
    for what, seconds in figures.items():
        print(f"{what}: {seconds:.2f} s of the processor")
    names, values = list(figures), list(figures.values())
    limits = {names[1]: 2.0, names[3]: 2 * values[2], names[4]: 10.0, names[5]: 5.0}
    return [outcome(what, figures[what], limit) for what, limit in limits.items()]


def whole_commands(folder: Path) -> list[Outcome]:
    """Prints the figures of whole commands, and how they stand to their limits."""
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    figures = fixed_costs(folder)
    for what, (used, passed) in figures.items():
        print(f"{what}: {used:.2f} s of the processor, {passed:.2f} s of the clock")
    return [outcome(what, figures[what][0], limit) for what, limit in LIMITS_S.items()]


def outcome(what: str, seconds: float, limit: float) -> Outcome:
    return Outcome(what, f"at most {limit:.2f} s of the processor", f"{seconds:.2f}", seconds <= limit)


def main() -> int:
    """Prints every figure; 1 if one is above its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("tables", "commands"), help="a part of it")
    only = parser.parse_args().only
    found: list[Outcome] = []
    for part, measure in {"tables": tables_and_files, "commands": whole_commands}.items():
        if only in (None, part):
            with tempfile.TemporaryDirectory() as name:
                found += measure(Path(name))
    return int(not all(each.met for each in note(*found)))


if __name__ == "__main__":
    sys.exit(main())
