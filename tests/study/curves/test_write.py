"""Learning curves: intervals over cohorts, gains of the lead, and how far they reach."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pytest

from pathfuse.runs.folder import RunFolder
from pathfuse.study.curves.gains import gain_of, interval_of
from pathfuse.study.curves.write import write_curves
from pathfuse.study.definition.report import FigureSpec
from pathfuse.study.definition.study import Study, Variant
from pathfuse.study.jobs import Job
from pathfuse.study.scores import RunScores

SPEC = FigureSpec("auc", "curves", title="Gain", value="auroc", by="arm", x="labels", lead="taught", baseline="plain")
STAGES = "stages:\n  teach: {}\n  learn: {}\n"


def run_of(folder: Path, variant: str, cohort: int, seed: int, value: float) -> RunScores:
    """A finished run whose last stage took 1,200 steps."""
    own = folder / variant / str(seed) / str(cohort)
    (own / "curves").mkdir(parents=True)
    (own / "config.yaml").write_text(STAGES)
    for stage, steps in (("teach", 600), ("learn", 1200)):
        (own / "curves" / f"{stage}.csv").write_text(f"epoch,steps,val/loss\n0,{steps // 2},1\n1,{steps},2\n")
    job = Job(variant, seed, cohort, 0, (), (), (), own, "", f"c{cohort}")
    return RunScores(job, RunFolder(own), {"he": {"auroc": value}})


@pytest.fixture
def study() -> Study:
    variants = [
        Variant(f"{n}_{arm}", ("he_only",), axes={"labels": n, "arm": arm}, subset="he")
        for n in ("16", "all")
        for arm in ("plain", "taught")
    ]
    return Study("s", tuple(variants), cohorts={f"c{n}": (("cohort.demo.seed", str(n)),) for n in range(3)})


@pytest.fixture
def runs(tmp_path: Path) -> Mapping[str, list[RunScores]]:
    """Three cohorts, two seeds; seeds differ by 0.02, which is no evidence about cohorts."""
    means = {"16_plain": (0.6, 0.7, 0.8), "16_taught": (0.7, 0.75, 0.9), "all_plain": (0.75, 0.8, 0.85)}
    return {
        name: [run_of(tmp_path, name, c, s, mean + 0.02 * s - 0.03) for c, mean in enumerate(own) for s in (1, 2)]
        for name, own in means.items()
    }


def test_an_interval_is_student_s_t() -> None:
    found = interval_of([0.1, 0.2, 0.3])
    assert found[:3] == pytest.approx((0.2, 0.2 - 4.302653 * 0.1 / 3**0.5, 0.2 + 4.302653 * 0.1 / 3**0.5))
    assert interval_of([0.5]).text() == "0.500" and interval_of([]).text() == "-"


def test_a_gain_pairs_units_and_the_seeds_that_both_have() -> None:
    gain = gain_of({(0,): {1: 0.9, 2: 0.5}, (1,): {1: 0.7}}, {(0,): {1: 0.8}, (1,): {1: 0.8}, (2,): {1: 0.1}})
    assert (gain.apart.mean, gain.apart.units, gain.better) == (pytest.approx(0.0), 2, 1)


def test_the_files_say_points_steps_gains_and_how_far_they_reach(
    study: Study, runs: Mapping[str, list[RunScores]], tmp_path: Path
) -> None:
    files = {path.suffix: path for path in write_curves(tmp_path, SPEC, study, runs)}
    points = {(row["line"], row["at"]): row for row in csv.DictReader(files[".csv"].read_text().splitlines())}
    point = points["taught", "16"]
    assert (float(point["mean"]), point["units"]) == (pytest.approx(0.78333333, abs=1e-6), "3")
    assert (float(point["steps_before"]), float(point["steps"])) == (600, 1200)
    assert points["taught", "all"]["mean"] == ""
    page = files[".md"].read_text()
    # 0.1, 0.05 and 0.1 over the baseline, which gains 0.15, 0.1 and 0.05 up to all labels.
    assert "taught gains +0.083 against plain (+0.012 to +0.155); 95 % over 3 cohorts; 83% of the way" in page
    assert "| 16 | plain | 0.083 (0.012 to 0.155) | 3 of 3 | - |" in page and "| 600 | 1200 |" in page
    assert "<svg" in files[".svg"].read_text() and "83% of the way" in files[".svg"].read_text()


def test_without_a_finished_run_there_is_no_figure(study: Study, tmp_path: Path) -> None:
    assert write_curves(tmp_path, SPEC, study, {}) == []
