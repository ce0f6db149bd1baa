import csv

import numpy as np
import pytest

from pathfuse.evaluate.calibrate.calibrator import Calibrator
from pathfuse.evaluate.calibrate.diagrams import (
    RELIABILITY_COLUMNS,
    RISK_COVERAGE_COLUMNS,
    Measured,
    write_reliability,
    write_risk_coverage,
)
from pathfuse.evaluate.metrics.calibration import expected_calibration_error
from pathfuse.runs.folder import RunFolder

CLASSES = ("0", "1+", "all")


def measured(n=90, seed=0, calibrated=True):
    generator = np.random.default_rng(seed)
    prob = generator.dirichlet(np.ones(3), n)
    target, learned = generator.integers(0, 3, n), generator.random(n)
    made = Calibrator.fit(prob, target, learned, [str(row) for row in range(n)], ["val"] * n, target_risk=0.6)
    return Measured(prob, target, learned, made(prob, learned) if calibrated else None)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_bins_of_the_file_give_the_error_that_is_reported(tmp_path):
    subsets = {"he": measured(), "he+ihc": measured(40, 1, calibrated=False)}
    write_reliability(RunFolder(tmp_path), subsets, CLASSES)
    rows = read(tmp_path / "reliability.csv")
    assert tuple(rows[0]) == RELIABILITY_COLUMNS
    assert {(row["subset"], row["stage"]) for row in rows} == {("he", "before"), ("he", "after"), ("he+ihc", "before")}
    # The diagram of the highest probability comes first, whatever the classes are called.
    top = [row for row in rows if (row["subset"], row["stage"]) == ("he", "after")]
    end = next(k for k, row in enumerate(top) if row["class"] == "0")
    gaps = [int(row["n"]) * abs(float(row["confidence"]) - float(row["accuracy"])) for row in top[:end]]
    own = subsets["he"]
    assert sum(gaps) / 90 == pytest.approx(
        expected_calibration_error(own.calibrated.prob, own.target, bins=10), abs=1e-5
    )
    for row in rows:
        assert float(row["low"]) == pytest.approx(int(row["bin"]) / 10)
        assert float(row["low"]) <= float(row["confidence"]) <= float(row["high"])


def test_the_curves_end_at_the_error_rate_with_all_cases_kept(tmp_path):
    own = measured()
    write_risk_coverage(RunFolder(tmp_path), {"he": own})
    rows = read(tmp_path / "risk_coverage.csv")
    assert tuple(rows[0]) == RISK_COVERAGE_COLUMNS
    error = float((own.prob.argmax(1) != own.target).mean())
    for score in ("softmax", "learned", "combined", "calibrated"):
        curve = [row for row in rows if row["score"] == score]
        assert (float(curve[-1]["coverage"]), float(curve[-1]["risk"])) == (1, pytest.approx(error, abs=1e-6))
        coverage = [float(row["coverage"]) for row in curve]
        assert coverage == sorted(coverage)


def test_what_was_not_learned_or_calibrated_has_no_curve(tmp_path):
    own = measured(calibrated=False)
    write_risk_coverage(RunFolder(tmp_path), {"he": Measured(own.prob, own.target)})
    assert {row["score"] for row in read(tmp_path / "risk_coverage.csv")} == {"softmax"}


def test_without_a_labelled_case_there_are_headers_only(tmp_path):
    write_reliability(RunFolder(tmp_path), {}, CLASSES)
    write_risk_coverage(RunFolder(tmp_path), {})
    assert read(tmp_path / "reliability.csv") == read(tmp_path / "risk_coverage.csv") == []
