"""A BCI-shaped folder end to end: one epoch per stage, memory of all processes, and the wait for the loader.

    python -m benchmarks.trials.bci --pairs 100 1000

Memory is the highest sum of RssAnon over the process and its workers: pages that are nobody else's, without the
memory-mapped cache, which the kernel may drop.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from pathfuse.core import weighted_total
from pathfuse.demo import write_bci
from pathfuse.recipes import compose, find_recipe
from pathfuse.training.plan import TrainingPlan

WORDS = ["--correlate.model.encoder.stem=none", "--predict.model.encoder.backbone.weights=random"]


def anonymous_bytes(root: int) -> int:
    """RssAnon of a process and all its descendants."""
    parents, own = {}, {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        pid = int(fields["Pid"])
        parents[pid] = int(fields["PPid"])
        own[pid] = int(fields.get("RssAnon", "0 kB").split()[0]) * 1024
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(own.get(pid, 0) for pid in family)


def fit(root: Path, work: Path) -> tuple[float, int]:
    """Seconds and peak anonymous memory of one epoch per stage."""
    words = ["--recipe", "corranet", f"--cases={root}", f"--cohort.cache={work / 'cache'}", "--trainer.max_epochs=1"]
    command = [sys.executable, "-m", "pathfuse", "fit", *words, *WORDS, f"--out={work / 'run'}"]
    began, peak = time.monotonic(), 0
    with (work / "log.txt").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, anonymous_bytes(process.pid))
            time.sleep(0.25)
    if process.returncode:
        sys.exit((work / "log.txt").read_text())
    return time.monotonic() - began, peak


def loader_wait(root: Path, work: Path) -> float:
    """Share of the second epoch of the correlate stage that is spent waiting for the next batch."""
    options = [
        ("cohort.cases", str(root)),
        ("cohort.cache", str(work / "cache")),
        ("correlate.model.encoder.stem", "none"),
    ]
    plan = TrainingPlan.parse(compose([find_recipe("corranet")], [], options))
    data, task = plan.data_of("correlate"), plan.task_of("correlate")
    optimizer = torch.optim.Adam(task.parameters())
    loader = data.train_dataloader()
    waited, whole = 0.0, 1.0
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        waited, started = 0.0, time.monotonic()
        batches = iter(loader)
        while True:
            began = time.monotonic()
            batch = next(batches, None)
            waited += time.monotonic() - began
            if batch is None:
                break
            optimizer.zero_grad()
            weighted_total(task.objective.losses(task.model, batch).terms, task.loss_weights).backward()
            optimizer.step()
        whole = time.monotonic() - started
    return waited / whole


def main() -> None:
    """Prints one row per size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[100, 1000])
    arguments = parser.parse_args()
    table = Table("pairs of 1024 px", "written, s", "fit, s", "peak RssAnon, MB", "loader wait, 2nd epoch")
    for pairs in arguments.pairs:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            began = time.monotonic()
            root = write_bci(work / "bci", pairs)
            written = time.monotonic() - began
            seconds, peak = fit(root, work)
            wait = loader_wait(root, work)
            table.add_row(str(pairs), f"{written:.0f}", f"{seconds:.0f}", f"{peak / 1e6:.0f}", f"{wait:.1%}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
