"""Time of a start: reading a case table, and opening 10,000 feature files. `python -m benchmarks.bench_start`.

A table of 100,000 rows has to be read in less than 3 s of the processor, one of 2,000 columns in no more per cell than
twice what 20 columns take, and the first batch of 10,000 files has to be there in less than 10 s once their headers are
known. Exits with 1 if a limit is missed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from pathfuse.cohort import Cohort
from pathfuse.cohort.sources.case_table import scan_cases
from pathfuse.data.paired_bags import PairedBags

FILES = 10_000


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


def main() -> int:
    """Prints every figure; 1 if one is above its limit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
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
    values = list(figures.values())
    return int(values[1] > 3 or values[3] > 2 * values[2] or values[5] > 10)


if __name__ == "__main__":
    sys.exit(main())
