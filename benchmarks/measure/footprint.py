"""Page faults and the peak of memory of one call, as the kernel counts them; zeros where it does not say."""

from __future__ import annotations

import ctypes
import gc
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc/self")


@dataclass(frozen=True)
class Footprint:
    """Minor page faults, and MB above what the process held before."""

    faults: int
    peak_mb: float


def footprint(call: Callable[[], object]) -> Footprint:
    """Of one call that starts from memory handed back to the kernel, so that what it reuses counts as well."""
    gc.collect()
    hand_back()
    before, faults = resident_mb("VmRSS"), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    try:
        (PROC / "clear_refs").write_text("5")  # the peak starts from here
    except OSError:
        before = float("nan")
    call()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    return Footprint(faults, resident_mb("VmHWM") - before)


def hand_back() -> None:
    """Asks glibc to hand what is free back to the kernel."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):  # only glibc has it
        return


def resident_mb(key: str) -> float:
    """A line of this process's status, such as `VmRSS`; NaN where the kernel does not say."""
    try:
        lines = (PROC / "status").read_text().splitlines()
    except OSError:
        return float("nan")
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024
