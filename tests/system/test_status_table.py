from dataclasses import dataclass
from pathlib import Path

import pytest

from pathfuse.errors import RunError
from pathfuse.system.status_table import StatusTable


@dataclass(frozen=True)
class Row:
    """One thing."""

    name: str
    status: str
    reason: str = ""


TABLE = StatusTable(Row, "Remove it.")


def test_rows_are_kept_by_name_and_a_new_one_takes_the_place_of_the_old(tmp_path: Path) -> None:
    file = tmp_path / "status.csv"
    assert TABLE.read(file) == {}
    for row in (Row("b", "failed", "no, not yet"), Row("a", "done"), Row("b", "done")):
        TABLE.record(file, row)
    assert TABLE.read(file) == {"a": Row("a", "done"), "b": Row("b", "done")}
    TABLE.record(file, Row("a", "skipped"), stays=lambda before: before.status == "done")
    assert TABLE.read(file)["a"].status == "done"


def test_a_file_that_is_no_such_table_is_an_error_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "status.csv"
    file.write_text("name,colour\na,red\n")
    with pytest.raises(RunError, match=r"status\.csv.*Remove it\."):
        TABLE.record(file, Row("a", "done"))
    assert file.read_text() == "name,colour\na,red\n"
