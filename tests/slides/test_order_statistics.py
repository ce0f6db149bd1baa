from __future__ import annotations

import numpy as np
import pytest

from pathfuse.slides.order_statistics import percentiles

ASKED = [(0, 0.0), (0, 1.0), (1, 37.5), (1, 50.0), (0, 99.0), (1, 100.0)]


def in_bands(planes):
    return (planes[:, start : start + 1000] for start in range(0, planes.shape[1], 1000))


def values(kind: str, count: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    ramp = np.arange(2 * count, dtype=float).reshape(2, count)
    return {"noise": rng.normal(size=(2, count)), "ties": rng.integers(0, 3, (2, count)).astype(float), "ramp": ramp}[
        kind
    ]


@pytest.mark.parametrize("kind", ["noise", "ties", "ramp"])
@pytest.mark.parametrize("count", [1, 2, 101, 5000, 60_000])
def test_streamed_percentiles_are_those_of_the_whole_row(kind, count):
    rows = values(kind, count)
    got = [place.value for place in percentiles(in_bands, rows, count, ASKED)]
    assert got == pytest.approx([np.percentile(rows[row], q) for row, q in ASKED], rel=1e-12)


def test_a_sample_that_misleads_costs_a_second_pass_and_nothing_else():
    rows = np.zeros((1, 60_000))
    rows[:, :: 60_000 // 4096 | 1] = 1.0  # what the sample sees lies entirely above the rest
    rows[:, 1:60_000:2] -= np.arange(30_000) * 1e-6
    passes = []

    def counted(planes):
        passes.append(planes.shape[1])
        return in_bands(planes)

    (place,) = percentiles(counted, rows, 60_000, [(0, 90.0)])
    assert place.value == pytest.approx(np.percentile(rows[0], 90), rel=1e-12)
    assert passes.count(60_000) == 2
