"""The work of reading a case table, counted in calls: it grows with the cells, and nothing is looked for twice."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import pytest

from pathfuse.cohort.sources.case_rows import JOINT
from pathfuse.cohort.sources.case_table import scan_cases

SLACK = 1.1  # over four times the work: headers and notes cost the same for every table


def calls(path: Path) -> int:
    """Calls of functions, ours and built in, that reading a table takes."""
    count = 0

    def counted(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        table, problems = scan_cases(path, check_files=False)
    finally:
        sys.setprofile(None)
    assert table.cases and not problems
    return count


def long_table(path: Path, rows: int, per_case: int) -> Path:
    lines = [f"c{i // per_case},p{i // per_case},he,s{i}.svs,1+,b{i}" for i in range(rows)]
    path.write_text("\n".join(["case_id,patient_id,modality,path,label,block", *lines]) + "\n")
    return path


def wide_table(path: Path, columns: int) -> Path:
    head = ["case_id", "patient_id", "he", "label", *(f"x{j}" for j in range(columns))]
    lines = [[f"c{i}", f"p{i}", f"a{i}.svs", "1+", *(f"{i}.{j}" for j in range(columns))] for i in range(10)]
    path.write_text("\n".join(",".join(row) for row in [head, *lines]) + "\n")
    return path


@pytest.mark.parametrize("per_case", [1, 2, 10_000], ids=["a row per case", "two rows per case", "one case"])
def test_work_grows_with_the_rows(per_case: int, tmp_path: Path) -> None:
    few, many = (calls(long_table(tmp_path / f"{rows}.csv", rows, per_case)) for rows in (500, 2000))
    assert many < 4 * SLACK * few


def test_work_grows_with_the_columns(tmp_path: Path) -> None:
    few, many = (calls(wide_table(tmp_path / f"{columns}.csv", columns)) for columns in (200, 800))
    assert many < 4 * SLACK * few


def test_what_the_rows_of_a_case_say_is_joined_in_order_and_once(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "case_id,patient_id,modality,path,label,block\n"
        "c,p,he,1.svs,1+,b\nc,p,he,2.svs,1+,a\nc,p,he,3.svs,1+,b\nc,p,ihc,1.svs,1+,a\n"
    )
    table, problems = scan_cases(tmp_path / "t.csv", check_files=False)
    assert not problems
    assert table.cases[0].labels["block"] == f"b{JOINT}a"


def test_a_file_twice_in_a_case_is_still_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "case_id,patient_id,modality,path,label\nc,p,he,1.svs,1+\nc,p,he,./1.svs,1+\nc,p,ihc,1.svs,1+\n"
    )
    _, problems = scan_cases(tmp_path / "t.csv", check_files=False)
    assert problems == ["t.csv line 3: ./1.svs is already a file of case c. Remove one of the rows."]
