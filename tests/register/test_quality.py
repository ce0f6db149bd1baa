"""Verdicts follow the measures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pathfuse.register.quality import Quality

GOOD = Quality(
    likeness=0.5, lead=0.3, similarity=0.95, consistency_um=3.0, consistency_p90_um=6.0, overlap=0.9, patches=100
)


def test_a_good_one_is_accepted_without_a_word() -> None:
    assert GOOD.verdict == "accepted"
    assert GOOD.problems == GOOD.doubts == []
    assert replace(GOOD, consistency_um=None, consistency_p90_um=None).verdict == "accepted"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"similarity": 0.69}, "similarity 0.69 is below 0.70"),
        ({"consistency_um": 41.0}, "41 um"),
        ({"consistency_um": float("nan")}, "nan um"),
        ({"overlap": 0.2}, "20%"),
        ({"patches": 5}, "5 patches"),
        ({"lead": 0.04}, "lead 0.04"),
        ({"lead": float("nan")}, "lead nan"),
    ],
)
def test_one_bad_measure_refuses_and_says_which(change: dict[str, float], says: str) -> None:
    found = replace(GOOD, **change)  # type: ignore[arg-type]
    assert found.verdict == "refused"
    assert says in "; ".join(found.problems)


@pytest.mark.parametrize("change", [{"similarity": 0.74}, {"consistency_um": 25.0}, {"lead": 0.07}])
def test_a_doubtful_one_is_to_be_looked_at(change: dict[str, float]) -> None:
    assert replace(GOOD, **change).verdict == "review"  # type: ignore[arg-type]
