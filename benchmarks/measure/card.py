"""Rates of a card: its products, and time, share of them and memory of a step on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.measure.floor import products

EDGE = 8192  # of the square matrices whose product is taken for the peak


@dataclass(frozen=True)
class Step:
    """One call on a card.

    Attributes:
        seconds: the shortest round.
        share: of the time that its products take at the measured rates.
        peak_mb: memory of torch's allocator at its highest, 0 on a CPU.
    """

    seconds: float
    share: float
    peak_mb: float


class Card:
    """A device with the product rates that were measured on it.

    Args:
        device: where everything computes.
        edge: of the matrices that are multiplied to measure the rate.
    """

    def __init__(self, device: torch.device, edge: int = EDGE) -> None:
        self.device = device
        self.rates = {dtype: self._rate(dtype, edge) for dtype in (torch.float32, torch.bfloat16)}

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        rates = ", ".join(f"{rate / 1e12:.2f} TFLOP/s in {dtype}" for dtype, rate in self.rates.items())
        return f"{name}, torch {torch.__version__}, products {rates}"

    def step(self, call: Callable[[], object], rounds: int, limit_s: float) -> Step:
        """The shortest of some calls, no more than `limit_s` seconds of them, after one that warms up."""
        self.timed(call)
        counted = products(call).operations
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        best, spent = float("inf"), 0.0
        for _ in range(rounds):
            seconds = self.timed(call)
            best, spent = min(best, seconds), spent + seconds
            if spent > limit_s:
                break
        floor = sum(count / self.rates.get(dtype, self.rates[torch.float32]) for dtype, count in counted.items())
        peak = torch.cuda.max_memory_allocated(self.device) / 2**20 if self.device.type == "cuda" else 0.0
        return Step(best, floor / best, peak)

    def timed(self, call: Callable[[], object]) -> float:
        """Seconds of one call, until the device is done."""
        self._wait()
        start = time.perf_counter()
        call()
        self._wait()
        return time.perf_counter() - start

    def _rate(self, dtype: torch.dtype, edge: int) -> float:
        one = torch.randn(edge, edge, device=self.device).to(dtype)
        self.timed(lambda: one @ one)
        return 2 * edge**3 / min(self.timed(lambda: one @ one) for _ in range(5))

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
