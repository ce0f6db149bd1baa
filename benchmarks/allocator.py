"""Steps of bags with memory that glibc keeps and with memory that it gives back: `python -m benchmarks.allocator`.

By default glibc gives a freed block of more than 32 MB back to the kernel, which clears the pages of the next one anew.
Here both take turns in one process, as `mallopt` sets them; at the end both have the same peak, so only time and page
faults are compared.
"""

from __future__ import annotations

import ctypes
import resource

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.bench_bags import BAGS, WIDTH, pair_of_bags, spec_of, wsmcl
from benchmarks.measure.harness import options
from benchmarks.measure.machine import machine, now
from pathfuse.core import Bags, Batch, SupervisedObjective
from pathfuse_mil.attention import AttentionFusion
from pathfuse_mil.encoder import BagEncoder

TRIM, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # numbers of malloc.h
SETTINGS = {  # the default is where glibc's own rule ends once a block of 32 MB was freed
    "default": {MMAP_THRESHOLD: 2**25, TRIM: 2**26, MMAP_MAX: 2**16},
    "kept": {MMAP_MAX: 0, TRIM: 2**31 - 1},
}


def steps():
    """Forward and backward of one WSMCL case, and of eight bags with gated attention after a projection."""
    model, case = wsmcl(WIDTH), pair_of_bags(10_000)
    lengths, width, dim, _ = BAGS["projected"]
    encoder = BagEncoder(spec_of({"he": width}), dim=dim)
    fusion = AttentionFusion(encoder.out, spec_of({"he": width}), gated=True)
    bags = Bags(torch.randn(sum(lengths), width), torch.tensor(lengths))
    here, none = torch.ones(len(lengths), dtype=torch.bool), torch.zeros(len(lengths), dtype=torch.long)
    batch = Batch({"he": bags}, {"he": here}, none, ("",), ("",))
    return {
        "WSMCL": lambda: sum(SupervisedObjective().losses(model, case).terms.values()).backward(),
        "attention after a projection": lambda: fusion(encoder(batch)).embedding.sum().backward(),
    }


def main():
    chosen = options(__doc__).parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    glibc = ctypes.CDLL(None)
    table = Table(
        "step", "setting", "shortest s", "of it in the kernel", "page faults", title="Memory kept or given back"
    )
    for what, step in steps().items():
        found = {name: [] for name in SETTINGS}
        for _ in range(chosen.rounds):
            for name, setting in SETTINGS.items():
                for number, value in setting.items():
                    glibc.mallopt(number, value)
                step()  # what was kept or given back comes from a step of the same setting
                found[name].append(measured(step))
        for name, rounds in found.items():
            seconds, kernel, faults = min(rounds)
            table.add_row(what, name, f"{seconds:.3f}", f"{kernel:.3f}", f"{faults}")
    Console(width=110).print(table, machine(), highlight=False)


def measured(step):
    before, start = resource.getrusage(resource.RUSAGE_SELF), now()
    step()
    seconds, after = now() - start, resource.getrusage(resource.RUSAGE_SELF)
    return seconds, after.ru_stime - before.ru_stime, after.ru_minflt - before.ru_minflt


if __name__ == "__main__":
    main()
