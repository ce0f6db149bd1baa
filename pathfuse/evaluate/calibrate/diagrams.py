"""`reliability.csv` and `risk_coverage.csv`: the points of a test's diagrams, for reports and for other tools.

`reliability.csv` has one line per bin that holds a case:

| column | meaning |
|---|---|
| `subset` | stains that were given, such as `he+ihc` |
| `stage` | `before` or `after` calibration; `after` only where the run has one |
| `class` | a class name, one against the rest; `all` is the highest probability against being right |
| `bin`, `low`, `high` | number of the bin from 0, and its limits |
| `n` | cases in it |
| `confidence` | their mean probability |
| `accuracy` | the share of them of which it came true |

`risk_coverage.csv` has one line per threshold, from the surest case on:

| column | meaning |
|---|---|
| `subset` | as above |
| `score` | `softmax`, `learned`, `combined`; `calibrated`: what decides on abstaining, after calibration |
| `threshold` | cases of at least this confidence are kept |
| `coverage` | the share of the cases that is kept |
| `risk` | the share of errors among them |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pathfuse.evaluate.calibrate.abstention import confidences, risk_coverage
from pathfuse.evaluate.calibrate.calibrator import Calibrated
from pathfuse.evaluate.metrics.calibration import reliability_by_class
from pathfuse.runs.files import RELIABILITY, RISK_COVERAGE
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.rows import Index, Values

RELIABILITY_COLUMNS = ("subset", "stage", "class", "bin", "low", "high", "n", "confidence", "accuracy")
RISK_COVERAGE_COLUMNS = ("subset", "score", "threshold", "coverage", "risk")
BINS = 10
TOP = "all"


@dataclass(frozen=True)
class Measured:
    """Labelled test cases of one subset of stains.

    Attributes:
        prob: (N, C).
        target: (N,) class index.
        learned: (N,) learned confidence, or None.
        calibrated: the same cases after calibration, or None.
    """

    prob: Values
    target: Index
    learned: Values | None = None
    calibrated: Calibrated | None = None


def write_reliability(run: RunFolder, subsets: Mapping[str, Measured], classes: Sequence[str]) -> None:
    """Writes `reliability.csv`."""
    run.write_lines(RELIABILITY, RELIABILITY_COLUMNS, _bins(subsets, classes))


def write_risk_coverage(run: RunFolder, subsets: Mapping[str, Measured]) -> None:
    """Writes `risk_coverage.csv`."""
    run.write_lines(RISK_COVERAGE, RISK_COVERAGE_COLUMNS, _points(subsets))


def _bins(subsets: Mapping[str, Measured], classes: Sequence[str]) -> Iterator[list[object]]:
    for subset, measured in subsets.items():
        for stage, prob in _stages(measured):
            diagrams = reliability_by_class(prob, measured.target, classes, bins=BINS)
            for name, bins in zip((TOP, *classes), diagrams, strict=True):
                for b in bins:
                    number = round(b.low * BINS)
                    share = (f"{value:.6f}" for value in (b.confidence, b.accuracy))
                    yield [subset, stage, name, number, f"{b.low:.1f}", f"{b.high:.1f}", b.n, *share]


def _points(subsets: Mapping[str, Measured]) -> Iterator[list[object]]:
    for subset, measured in subsets.items():
        wrong = (measured.prob.argmax(1) != measured.target).astype(np.float64)
        for score, confidence in _scores(measured):
            curve = risk_coverage(confidence, wrong)
            for point in zip(curve.threshold, curve.coverage, curve.risk, strict=True):
                yield [subset, score, *(f"{value:.6f}" for value in point)]


def _stages(measured: Measured) -> Iterator[tuple[str, Values]]:
    yield "before", measured.prob
    if measured.calibrated is not None:
        yield "after", measured.calibrated.prob


def _scores(measured: Measured) -> Iterator[tuple[str, Values]]:
    yield from confidences(measured.prob, measured.learned).items()
    if measured.calibrated is not None:
        yield "calibrated", measured.calibrated.confidence
