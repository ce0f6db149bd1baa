import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathfuse.errors import CaseTableError, PathfuseError, StoreError
from pathfuse.system.csv_table import read_csv, read_csv_lines

cell = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
name = st.text("abcdefgh", min_size=1, max_size=6)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables") / "table.csv"


def said(path: Path, content: str | bytes, *required: str, **options: object) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CaseTableError) as found:
        read_csv(path, required, error=CaseTableError, advice="Draw it again.", **options)  # type: ignore[arg-type]
    assert str(found.value).startswith(str(path)) and str(found.value).endswith("Draw it again.")
    return str(found.value).removeprefix(str(path)).removesuffix(" Draw it again.").strip()


@given(data=st.data(), mark=st.booleans(), ending=st.sampled_from(["\n", "\r\n"]))
def test_what_was_written_is_read_back_with_the_line_where_each_row_begins(
    place: Path, data: st.DataObject, mark: bool, ending: str
) -> None:
    header = data.draw(st.lists(name, min_size=1, max_size=4, unique=True))
    rows = data.draw(st.lists(st.lists(cell, min_size=len(header), max_size=len(header)), max_size=5))
    text = io.StringIO()
    # A writer that ends lines with a line feed leaves a carriage return in a cell unquoted.
    writer = csv.writer(text, lineterminator=ending, quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    expected = []
    for row in rows:
        begins = len(io.StringIO(text.getvalue(), newline="").readlines()) + 1
        writer.writerow(row)
        if any(one.strip() for one in row):
            expected.append((begins, row))
    place.write_bytes(text.getvalue().encode("utf-8-sig" if mark else "utf-8"))
    table = read_csv(place, header)
    assert table.header == tuple(header)
    assert list(table.lines) == expected
    assert list(table) == [dict(zip(header, row, strict=True)) for _, row in expected]


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_table_or_one_line_that_names_the_file(place: Path, content: bytes) -> None:
    place.write_bytes(content)
    try:
        table = read_csv(place, error=StoreError)
    except PathfuseError as error:
        assert isinstance(error, StoreError) and str(place) in str(error) and len(str(error).splitlines()) == 1
    else:
        assert all(len(cells) == len(table.header) for _, cells in table.lines)


@given(content=st.text(",\"'\n\r;ab \0\ufeff\u00e4", max_size=60))
def test_any_punctuation_is_a_table_or_one_line_that_names_the_file(place: Path, content: str) -> None:
    place.write_bytes(content.encode())
    try:
        table = read_csv(place, ["a"], strip=True)
    except PathfuseError as error:
        assert str(place) in str(error) and len(str(error).splitlines()) == 1
    else:
        assert "a" in table.header and all(one == one.strip() for row in table for one in row.values())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is empty. It needs the columns case, label."),
        ("\n , \n", "is empty. It needs the columns case, label."),
        ("case,lable\n", "line 1: column label is missing. Is it lable?"),
        ("\ncase,x\n", "line 2: column label is missing."),
        ("case;label\na;b\n", "line 1: columns are separated by ';'. Save it with commas."),
        ("case,label,case\n", "line 1: column 'case' occurs twice. Rename or remove one."),
        ('case,label\n"a\nb",0\nc\n', "line 4: 1 cells, but the header has 2. Quote cells that hold a comma."),
        ("case,label\na,1,2\n", "line 2: 3 cells, but the header has 2. Quote cells that hold a comma."),
        ('case,label\na,"1"2\n', "line 2: ',' expected after '\"'. Check the quotes of that row."),
        ('case,label\na,0\nb,"1\n', "line 3: unexpected end of data. Check the quotes of that row."),
        ("case,label\na,\0\n", "line 2 holds a NUL byte, so this is no text."),
        (b"case,label\na,b\nc,\xff\n", "line 3 is not UTF-8. Save it as 'CSV UTF-8'."),
        ("case,label\n".encode("utf-16"), "line 1 is not UTF-8. Save it as 'CSV UTF-8'."),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, content: str | bytes, expected: str) -> None:
    assert said(tmp_path / "table.csv", content, "case", "label") == expected


def test_a_column_that_nobody_knows_is_refused_where_the_columns_are_known(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    assert said(path, "case,lable\n", "case", known=["label"]) == (
        "line 1: column 'lable' is unknown. Did you mean label?"
    )
    assert read_csv(path, ["case"]).header == ("case", "lable")


def test_a_file_that_is_not_there_or_is_a_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CaseTableError, match=r"absent\.csv cannot be read \(No such file or directory\)\. Restore"):
        read_csv(tmp_path / "absent.csv", error=CaseTableError)
    with pytest.raises(CaseTableError, match=r"cannot be read \(Is a directory\)\. Name a table\."):
        read_csv(tmp_path, error=CaseTableError, advice="Name a table.")


def test_lines_of_another_tool_come_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a notice\n\nid,label\n s1 ,0,x\n")
    assert read_csv_lines(path, strip=True) == [(1, ["a notice"]), (3, ["id", "label"]), (4, ["s1", "0", "x"])]


def test_bytes_that_were_read_before_are_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "gone.csv"
    assert list(read_csv(path, ["id"], content=b"id\nx\n")) == [{"id": "x"}]
    with pytest.raises(StoreError, match=r"gone.csv is empty"):
        read_csv(path, content=b"", error=StoreError)
