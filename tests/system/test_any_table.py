"""Tables as people save them."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathfuse.errors import RunError
from pathfuse.system.any_table import read_any_table

ROWS = [["case_id", "label", "mpp"], ["A", "2+", "0,25"], ["B", "", "0,5"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_separator_and_encoding_are_found(tmp_path, separator, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes("\r\n".join(separator.join(row) for row in ROWS).encode(encoding))
    assert [cells for _, cells in read_any_table(path).lines] == ROWS


def test_a_cell_with_semicolons_does_not_make_them_the_separator(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("case_id,he\nA,a.png;b.png\nB,c.png;d.png\n")
    assert [cells for _, cells in read_any_table(path).lines][1] == ["A", "a.png;b.png"]


def test_the_line_that_excel_writes_for_itself_is_no_row(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sep=;\ncase_id;label\nA;0\n")
    assert read_any_table(path).lines == ((2, ["case_id", "label"]), (3, ["A", "0"]))


def test_a_sheet_of_excel_reads_as_its_csv_would(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="needs the extra excel")
    book = openpyxl.Workbook()
    for row in (["case_id", "label", None], ["A", 2.0, None], [None, None, None], ["B", "3+", None]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    assert [cells for _, cells in read_any_table(tmp_path / "t.xlsx").lines] == [
        ["case_id", "label"], ["A", "2"], ["B", "3+"],
    ]  # fmt: skip
    book.create_sheet("more").append(["x"])
    book.save(tmp_path / "two.xlsx")
    with pytest.raises(RunError, match="2 sheets with rows"):
        read_any_table(tmp_path / "two.xlsx")


def test_excel_names_its_extra_where_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(RunError, match=r"pathfuse\[excel\]"):
        read_any_table(tmp_path / "t.xlsx")


@given(st.lists(st.lists(st.text("aäß0+ .", min_size=1), min_size=2, max_size=2), min_size=1, max_size=5))
def test_what_is_written_with_any_separator_is_read_back(tmp_path_factory, rows):
    rows = [["id", "label"], *[[cell.strip() or "x" for cell in row] for row in rows]]
    path = tmp_path_factory.mktemp("t") / "t.csv"
    for separator in (",", ";", "\t"):
        path.write_text("\n".join(separator.join(row) for row in rows), encoding="utf-8")
        assert [cells for _, cells in read_any_table(path).lines] == rows
