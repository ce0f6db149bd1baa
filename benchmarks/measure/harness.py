"""Times named variants side by side in one process and prints them relative to a peer and to the floor.

`from benchmarks.measure.harness import compare, options`; each benchmark is run as `python -m benchmarks.bench_x`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure.aims import Aim, judge
from benchmarks.measure.floor import Products, floors
from benchmarks.measure.floor import products as products_of
from benchmarks.measure.footprint import footprint
from benchmarks.measure.machine import machine, now, rates

MIN_SAMPLE_S = (
    0.02  # a shorter call is repeated until one sample lasts this long: timers and wake-ups cost microseconds
)
LIMIT_S = 60.0  # after so long no further round begins: a call of many seconds is a mean over its steps already
LEAST = 2  # rounds that are run in any case


@dataclass(frozen=True)
class Timing:
    """What one call takes.

    Attributes:
        median_s: seconds, the median over the rounds.
        min_s: the minimum.
        ratio: how many times as fast as the baseline it is, the median over rounds.
        floor_s: what its products and bytes take at the rates of the machine; 0 where that is not known.
        products_s: what its products took in their own shapes; 0 where they are not counted.
        faults: minor page faults.
        peak_mb: memory beyond what the process held before.
    """

    median_s: float
    min_s: float
    ratio: float
    floor_s: float
    products_s: float
    faults: int
    peak_mb: float


def compare(
    title: str,
    variants: Mapping[str, Callable[[], object]],
    *,
    baseline: str,
    rounds: int = 7,
    check: Callable[[dict[str, object]], str | None] | None = None,
    items: int = 1,
    products: bool = False,
    bytes_moved: int = 0,
    aims: Sequence[Aim] = (),
    markdown: Path | None = None,
) -> dict[str, Timing]:
    """Runs every variant once per round, prints the table, and returns the timings by name.

    Args:
        title: heading of the table.
        variants: name to a call without arguments; what it returns is kept from the warm-up for `check`.
        baseline: name of the variant that has ratio 1.
        rounds: timed rounds, fewer where they take long; the order of the variants rotates, so that drift of the
            machine hits all alike.
        check: gets the outputs by name before anything is timed; raises when they disagree, returns a remark to print.
        items: things done by one call; the table also gives the time of one thing when it is above 1.
        products: count the matrix products of every variant; they are part of the floor.
        bytes_moved: what every variant reads and writes at least, the other part of the floor.
        aims: what is to be reached, judged by the shortest rounds.
        markdown: file the table is appended to as Markdown.
    """
    outputs: dict[str, object] = {}
    repeats: dict[str, int] = {}
    for name, call in variants.items():
        start = now()
        outputs[name] = call()  # also the warm-up: allocations, look-up tables, thread pools
        if now() - start < 1.0:
            start = now()
            call()
        repeats[name] = max(1, round(MIN_SAMPLE_S / max(now() - start, 1e-9)))
    remark = check(outputs) if check is not None else None
    counted = {name: products_of(call) if products else Products() for name, call in variants.items()}
    floor = floors({name: each.operations for name, each in counted.items()}, bytes_moved)
    used = {name: footprint(call) for name, call in variants.items()}
    samples: dict[str, list[float]] = {name: [] for name in variants}
    order, start = list(variants), now()
    for done in range(rounds):
        if done >= LEAST and now() - start > LIMIT_S:
            break
        for name in order:
            samples[name].append(_seconds(variants[name], repeats[name]))
        order.append(order.pop(0))
    timings = {}
    for name, times in samples.items():
        # Rounds are paired: both numbers of a round saw the same neighbours on the machine.
        ratio = statistics.median(peer / mine for peer, mine in zip(samples[baseline], times, strict=True))
        own = used[name]
        alone = counted[name].seconds
        timings[name] = Timing(statistics.median(times), min(times), ratio, floor[name], alone, own.faults, own.peak_mb)
    _show(title, timings, baseline, items, remark, markdown)
    judge(title, aims, timings)
    return timings


def options(description: str) -> argparse.ArgumentParser:
    """The options every benchmark has: `--rounds`, `--threads`, `--markdown FILE`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds of every variant, at most")
    parser.add_argument("--threads", type=int, default=None, help="torch threads; default: what torch chooses")
    parser.add_argument("--markdown", type=Path, default=None, help="append the tables to this Markdown file")
    return parser


def _seconds(call: Callable[[], object], repeats: int) -> float:
    start = now()
    for _ in range(repeats):
        call()
    return (now() - start) / repeats


def _show(
    title: str, timings: dict[str, Timing], baseline: str, items: int, remark: str | None, markdown: Path | None
) -> None:
    floor = any(timing.floor_s for timing in timings.values())
    heads = ["variant", "median ms", "min ms", *(["ms per item"] if items > 1 else []), f"speed / {baseline}"]
    products = any(timing.products_s for timing in timings.values())
    heads += [*(["share of floor"] if floor else []), *(["products alone"] if products else [])]
    heads += ["page faults", "peak MB"]
    rows = []
    for name, timing in timings.items():
        row = [name, f"{timing.median_s * 1e3:.2f}", f"{timing.min_s * 1e3:.2f}"]
        row += [f"{timing.median_s / items * 1e3:.2f}"] if items > 1 else []
        row += [f"{timing.ratio:.2f}", *([f"{timing.floor_s / timing.min_s:.2f}"] if floor else [])]
        # The share that would be reached if the products were all there is.
        row += [f"{timing.floor_s / timing.products_s:.2f}" if timing.products_s else ""] if products else []
        rows.append([*row, f"{timing.faults}", f"{timing.peak_mb:.0f}"])
    notes = [machine(), rates(), *([remark] if remark else [])]
    table = Table(*heads, title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table, *notes, sep="\n", highlight=False)
    if markdown is not None:
        lines = [f"\n### {title}\n", *("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows])]
        with markdown.open("a") as file:
            file.write("\n".join([*lines, "", *(f"{note}  " for note in notes), ""]))
