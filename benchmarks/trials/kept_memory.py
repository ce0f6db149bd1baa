"""Memory that a process holds between the steps of a training loop, by the setting of glibc's allocator.

    python -m benchmarks.trials.kept_memory

A plain torch loop without pathfuse or Lightning: ResNeXt-50, 16 pictures of 256 px, Adam; a process for each setting.
Printed are the least and the most anonymous memory after a step, what is left once glibc is asked to hand back what is
free, the peak within steps, and the time of the processor.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.measure.footprint import hand_back, resident_mb

SETTINGS: dict[str, dict[str, str]] = {
    "as it is": {},
    "one arena": {"MALLOC_ARENA_MAX": "1"},
    "blocks of 1 MB and more go back at once": {"MALLOC_MMAP_THRESHOLD_": "1000000"},
}
WARM_UP = 2


def steps(count: int, threads: int) -> dict[str, float]:
    """The figures of one process."""
    import timm
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = timm.create_model("resnext50_32x4d", num_classes=4).train()
    optimizer = torch.optim.Adam(model.parameters())
    images, target = torch.randn(16, 3, 256, 256), torch.randint(0, 4, (16,))
    after, began = [], time.process_time()
    for _ in range(count):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), target).backward()
        optimizer.step()
        after.append(resident_mb("RssAnon"))
    busy, peak = time.process_time() - began, resident_mb("VmHWM")
    hand_back()
    kept = after[WARM_UP:]
    return {
        "least": min(kept),
        "most": max(kept),
        "trimmed": resident_mb("RssAnon"),
        "peak": peak,
        "busy": busy / count,
    }


def main() -> None:
    """Prints a row per setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", action="store_true", help="one process; used by the others")
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(steps(chosen.steps, chosen.threads)))
        return
    table = Table("glibc", "least, MB", "most, MB", "handed back, MB", "peak, MB", "s a step", box=MARKDOWN)
    words = ["--child", "--steps", str(chosen.steps), "--threads", str(chosen.threads)]
    for name, setting in SETTINGS.items():
        line = [sys.executable, "-m", "benchmarks.trials.kept_memory", *words]
        done = subprocess.run(line, env={**os.environ, **setting}, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        table.add_row(
            name, *(f"{found[key]:.0f}" for key in ("least", "most", "trimmed", "peak")), f"{found['busy']:.1f}"
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
