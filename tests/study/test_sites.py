"""Leave-one-site-out: every site is tested by a model that never saw it, and a site that is different is found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pathfuse.cli import main
from pathfuse.cohort.folds.leave_out import leave_out
from pathfuse.cohort.table import Case
from pathfuse.errors import CaseTableError
from tests.store.foreign import grid, trident
from tests.study.small import rows

FAST = [
    "--loading.num_workers=0", "--loading.batch_size=8", "--data.patches_per_bag=6", "--trainer.max_epochs=6",
    "--trainer.callbacks=null", "--optimizer.lr=0.01", "--model.encoder.dim=16", "--model.head.class_weight=null",
]  # fmt: skip


def write_cohort(folder: Path, *, gap: bool) -> list[str]:
    """Sixteen patients at each of three sites; with a gap, the scanner of site C turns the signal round."""
    rng, lines = np.random.default_rng(0), ["case_id,patient_id,site,label"]
    for number in range(48):
        site, positive = "ABC"[number % 3], number // 3 % 2
        sign = -1 if gap and site == "C" else 1
        values = rng.normal(size=(6, 8)) + sign * (2 if positive else -2) * np.eye(8)[0]
        trident(folder / "he" / f"c{number:02d}.h5", values.astype(np.float16), grid(6))
        lines.append(f"c{number:02d},p{number:02d},{site},{'pos' if positive else 'neg'}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return ["--cases", str(folder / "labels.csv"), "--stores", f"{{he: {folder / 'he'}}}"]


@pytest.mark.parametrize(
    ("command", "gap"),
    [("crossval", True), ("crossval", False), ("study", True)],
    ids=["a planted gap", "no gap", "a planted gap in a study"],
)
def test_a_site_that_is_different_is_found_and_none_where_none_is(
    here: None, tmp_path: Path, command: str, gap: bool
) -> None:
    words, out = write_cohort(tmp_path, gap=gap), tmp_path / "out"
    (tmp_path / "mine.yaml").write_text("splits: {folds: 2}\nvariants: {attention_mil: attention_mil}\n")
    what = ["--recipe", "attention_mil"] if command == "crossval" else [str(tmp_path / "mine.yaml")]
    assert main([command, *what, *words, "--leave-out", "site", "--out", str(out), *FAST]) == 0
    for fold, site in enumerate("ABC"):
        tested = {
            row["case_id"] for row in rows(out / "splits.csv") if (row["fold"], row["part"]) == (str(fold), "test")
        }
        assert tested == {f"c{number:02d}" for number in range(48) if "ABC"[number % 3] == site}
    report = json.loads((out / "report.json").read_text())["sections"]["groups"]["by_site"]
    found = {row["group"]: row for row in report}
    assert [(row["n_cases"], row["n_patients"]) for row in report] == [(16, 16)] * 3
    if gap:
        assert found["C"]["balanced_accuracy_p_holm"] < 0.05 and found["C"]["balanced_accuracy_gap_high"] < 0
        assert "site C: balanced accuracy is" in (out / "report.html").read_text()
    else:
        assert all(row["balanced_accuracy_p_holm"] > 0.05 for row in report)
        assert "No site differs from the others" in (out / "report.html").read_text()


def case(number: int, **own: str) -> Case:
    return Case(f"c{number}", own.pop("patient", f"p{number}"), "01"[number % 2], **own)


def test_what_cannot_be_left_out_is_refused_in_one_line() -> None:
    cases = [case(number, site="AB"[number // 4]) for number in range(8)]
    folds = leave_out(cases, "site")
    assert {row.fold for row in folds.rows} == {0, 1}
    assert any("fold 0 tests A, fold 1 tests B" in note for note in folds.notes)
    for wrong, says in (
        ([*cases, case(8)], "case c8 has no site"),
        ([*cases, case(8, patient="p0", site="B")], "patient p0 has site A .case c0. and B .case c8."),
        (cases[:4], "column site has 1 different value;"),
        ([case(number, site=f"s{number}") for number in range(40)], "column site has 40 different values;"),
    ):
        with pytest.raises(CaseTableError, match=says):
            leave_out(wrong, "site")


def test_leaving_out_says_what_the_folds_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crossval", "--recipe", "he_only", "--leave-out", "site", "--folds", "3"]) == 2
    assert "--leave-out says what the folds are" in capsys.readouterr().err
