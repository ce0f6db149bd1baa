"""Text that a spreadsheet would run is marked in every CSV file, and read back as it was."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathfuse.runs.files import TextFiles
from pathfuse.system.csv_table import read_csv
from pathfuse.system.csv_writing import CsvRecordWriter, CsvWriter, as_read, as_text
from tests.conftest import PROJECT_ROOT

HOSTILE = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\t1", "\r=1", "'=1", "''@x", "=", "-1-1"]
HARMLESS = ["c1", "1+", "3+", "+", "++", "-", "-0.5", "+1", "-1e-5", "-inf", "", "'quoted'", "a=b", "p_-", " =1"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_formula_is_marked_as_text(text: str) -> None:
    assert as_text(text) == f"'{text}" and as_read(f"'{text}") == text


@pytest.mark.parametrize("text", HARMLESS)
def test_numbers_scores_and_names_are_left_alone(text: str) -> None:
    assert as_text(text) == text == as_read(text)
    assert as_text(-3) == -3 and as_text(-0.5) == -0.5 and as_text(None) is None and as_text(Path("=x")) == "'=x"


@given(st.lists(st.text(alphabet="='+-@\t1aä,\" "), min_size=1, max_size=4))
def test_what_is_written_is_read_and_nothing_begins_like_a_formula(cells: list[str]) -> None:
    file = io.StringIO(newline="")
    CsvWriter(file).writerow([*cells, "end"])
    (raw,) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert [as_read(cell) for cell in raw] == [*cells, "end"]
    for cell in raw:
        assert cell[:1] not in "=@\t\r" or not cell
        assert cell[:1] not in "+-" or not cell.strip("+-") or float(cell) is not None


def test_a_hostile_case_goes_through_a_run_folder_unchanged(tmp_path: Path) -> None:
    lines = [[text, "-0.25"] for text in HOSTILE]
    TextFiles(tmp_path).write_lines("predictions.csv", ["case_id", "=p"], lines)
    assert [row["case_id"] for row in TextFiles(tmp_path).lines("predictions.csv")] == HOSTILE
    assert read_csv(tmp_path / "predictions.csv").header == ("case_id", "=p")
    content = (tmp_path / "predictions.csv").read_text()
    assert content.startswith("case_id,'=p\n'=1+1,-0.25\n")


def test_records_have_the_columns_and_nothing_else() -> None:
    file = io.StringIO(newline="")
    CsvRecordWriter(file, ["a", "b"], lineterminator="\n").writerows([{"a": "=x", "c": 1}, {"b": 2}])
    assert file.getvalue() == "a,b\n'=x,\n,2\n"


def test_there_is_one_writer() -> None:
    others = [
        path.relative_to(PROJECT_ROOT).as_posix()
        for folder in ("pathfuse", "plugins")
        for path in (PROJECT_ROOT / folder).rglob("*.py")
        if re.search(r"csv\.(writer|DictWriter)\(", path.read_text(encoding="utf-8"))
    ]
    assert others == ["pathfuse/system/csv_writing.py"]
