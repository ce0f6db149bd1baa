"""Times named variants side by side in one process and prints them relative to a peer.

`from benchmarks.harness import compare, options`; each benchmark is a script run as `python -m benchmarks.bench_x`.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

MIN_SAMPLE_S = (
    0.02  # a shorter call is repeated until one sample lasts this long: timers and wake-ups cost microseconds
)


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: median and minimum over the rounds, and how many times as fast as the baseline it is."""

    median_s: float
    min_s: float
    ratio: float


def compare(
    title: str,
    variants: Mapping[str, Callable[[], object]],
    *,
    baseline: str,
    rounds: int = 7,
    check: Callable[[dict[str, object]], str | None] | None = None,
    items: int = 1,
    markdown: Path | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Runs every variant once per round, prints the table, and returns the timings by name.

    Args:
        title: heading of the table.
        variants: name to a call without arguments; what it returns is kept from the warm-up for `check`.
        baseline: name of the variant that has ratio 1.
        rounds: timed rounds; the order of the variants rotates, so that drift of the machine hits all alike.
        check: gets the outputs by name before anything is timed; raises when they disagree, returns a remark to print.
        items: things done by one call; the table also gives the time of one thing when it is above 1.
        markdown: file the table is appended to as Markdown.
        clock: `time.process_time` counts what this process computed, which neighbours on the machine change less.
    """
    outputs: dict[str, object] = {}
    repeats: dict[str, int] = {}
    for name, call in variants.items():
        outputs[name] = call()  # also the warm-up: allocations, look-up tables, thread pools
        repeats[name] = max(1, round(MIN_SAMPLE_S / max(_seconds(call, 1, clock), 1e-9)))
    remark = check(outputs) if check is not None else None
    samples: dict[str, list[float]] = {name: [] for name in variants}
    order = list(variants)
    for _ in range(rounds):
        for name in order:
            samples[name].append(_seconds(variants[name], repeats[name], clock))
        order.append(order.pop(0))
    timings = {}
    for name, times in samples.items():
        # Rounds are paired: both numbers of a round saw the same neighbours on the machine.
        ratio = statistics.median(peer / mine for peer, mine in zip(samples[baseline], times, strict=True))
        timings[name] = Timing(statistics.median(times), min(times), ratio)
    _show(title, timings, baseline, items, remark, markdown)
    return timings


def options(description: str) -> argparse.ArgumentParser:
    """The options every benchmark has: `--rounds`, `--threads`, `--markdown FILE`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds of every variant")
    parser.add_argument("--threads", type=int, default=None, help="torch threads; default: what torch chooses")
    parser.add_argument("--markdown", type=Path, default=None, help="append the tables to this Markdown file")
    return parser


def machine() -> str:
    """One line: processor, cores this process may use, torch and its threads, and how busy the machine was."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()  # macOS has none
    cpu = models[0] if models else platform.processor() or platform.machine()
    software = f"torch {torch.__version__} with {torch.get_num_threads()} threads"
    return f"{cpu}, {cores} cores, {software}, load {os.getloadavg()[0]:.1f}"


def _seconds(call: Callable[[], object], repeats: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats


def _show(
    title: str, timings: dict[str, Timing], baseline: str, items: int, remark: str | None, markdown: Path | None
) -> None:
    heads = ["variant", "median ms", "min ms", *(["ms per item"] if items > 1 else []), f"speed / {baseline}"]
    rows = []
    for name, timing in timings.items():
        each = [f"{timing.median_s / items * 1e3:.2f}"] if items > 1 else []
        rows.append([name, f"{timing.median_s * 1e3:.2f}", f"{timing.min_s * 1e3:.2f}", *each, f"{timing.ratio:.2f}"])
    notes = [machine(), *([remark] if remark else [])]
    table = Table(*heads, title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table, *notes, sep="\n", highlight=False)
    if markdown is not None:
        lines = [f"\n### {title}\n", *("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows])]
        with markdown.open("a") as file:
            file.write("\n".join([*lines, "", *(f"{note}  " for note in notes), ""]))
