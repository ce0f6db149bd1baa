"""Rates of a machine: its matrix products, and the bandwidth of its memory.

`python -m benchmarks.measure.machine` prints them. On a machine that is busy with other things,
`BENCH_CLOCK=processor` in the environment takes the time of the processor instead of the clock's, for benchmarks of one
thread.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

from pathfuse.nn import product

SHAPES = ((2048, 1024, 1024), (2048, 1024, 256), (4096, 512, 1536))  # rows, inner, columns: as long as a block of a bag
BUSY = os.environ.get("BENCH_CLOCK") == "processor"
now: Callable[[], float] = time.process_time if BUSY else time.perf_counter
BYTES = 2**28  # more than a core's share of any cache


def product_rate(dtype: torch.dtype) -> float:
    """Floating-point operations per second of matrix products with as many threads as torch has now; the best shape."""
    return _product_rate(dtype, torch.get_num_threads())


def bandwidth() -> float:
    """Bytes per second that a copy in memory reads and writes, with as many threads as torch has now."""
    return _bandwidth(torch.get_num_threads())


def machine() -> str:
    """One line: processor, cores this process may use, torch and its threads, and how busy the machine was."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()  # macOS has none
    cpu = models[0] if models else platform.processor() or platform.machine()
    software = f"torch {torch.__version__} with {torch.get_num_threads()} threads"
    return (
        f"{cpu}, {cores} cores, {software}, load {os.getloadavg()[0]:.1f}{', times of the processor' if BUSY else ''}"
    )


def rates() -> str:
    """One line: product rates of float32 and bfloat16, and the bandwidth."""
    single, half = (product_rate(dtype) / 1e9 for dtype in (torch.float32, torch.bfloat16))
    return f"products {single:.0f} GFLOP/s in float32 and {half:.0f} in bfloat16, memory {bandwidth() / 1e9:.1f} GB/s"


@cache
def _product_rate(dtype: torch.dtype, threads: int) -> float:
    del threads  # the key of the cache
    best = 0.0
    for rows, inner, columns in SHAPES:
        a, b = torch.randn(rows, inner).to(dtype), torch.randn(columns, inner).to(dtype).mT
        for multiply in (product, torch.matmul):
            best = max(best, 2 * rows * inner * columns / _shortest(lambda a=a, b=b, do=multiply: do(a, b)))
    return best


@cache
def _bandwidth(threads: int) -> float:
    del threads
    one = torch.ones(BYTES // 4)
    two = torch.empty_like(one).copy_(one)
    return 2 * BYTES / _shortest(lambda: two.copy_(one))


def _shortest(call: Callable[[], object], rounds: int = 5, sample_s: float = 0.02) -> float:
    call()
    best = float("inf")
    for _ in range(rounds):
        start, calls = now(), 0
        while calls == 0 or now() - start < sample_s:
            call()
            calls += 1
        best = min(best, (now() - start) / calls)
    return best


if __name__ == "__main__":
    print(machine(), rates(), sep="\n")
