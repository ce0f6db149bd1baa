"""Which cases have the wanted stains, and what becomes of the others."""

from pathlib import Path

import pytest

from pathfuse.cohort.presence import refuse_several, with_modalities
from pathfuse.cohort.table import Case, CaseFile, CaseTable
from pathfuse.errors import CaseTableError

FILE = (CaseFile(Path("a.png")),)
CASES = (
    Case("1", "p1", files={"he": FILE, "ihc": FILE, "ki67": FILE}),
    Case("2", "p2", files={"he": FILE}),
    Case("3", "p3", files={"ki67": FILE}),
)
TABLE = CaseTable(Path("cases.csv"), CASES, ("he", "ihc", "ki67"), ("0", "1+"))


def refused(told, modalities, missing, table=TABLE):
    with pytest.raises(CaseTableError, match=told) as caught:
        with_modalities(table, modalities, missing)
    assert "\n" not in str(caught.value)


def test_cases_keep_the_wanted_files_alone_and_those_without_any_leave_with_a_note():
    table = with_modalities(TABLE, ["he", "ihc"], None)
    assert [(case.case_id, list(case.files)) for case in table.cases] == [("1", ["he", "ihc"]), ("2", ["he"])]
    assert table.modalities == ("he", "ihc")
    assert table.notes == ("1 of 3 cases have no he or ihc image: left out.",)
    assert [(step.step, step.cases) for step in table.flow_steps()][:3] == [
        ("in the table", 3), ("left out: no he or ihc image", 1), ("in use", 2),
    ]  # fmt: skip


def test_the_order_is_that_of_the_recipe():
    assert list(with_modalities(TABLE, ["ki67", "he"], None).cases[0].files) == ["ki67", "he"]


def test_a_case_that_has_just_the_wanted_files_is_the_same_object():
    assert with_modalities(TABLE, ["he"], None).cases[1] is CASES[1]


def test_a_lacking_stain_is_an_error_where_every_case_must_have_it():
    refused(r"cases\.csv: 2 cases have no ihc image, first 2\. .*missing: allow", ["ihc", "he"], "error")


def test_a_stain_that_lacks_everywhere_is_an_error_unless_that_is_allowed():
    refused("no case with 'er'; it has he, ihc, ki67", ["he", "er"], None)
    refused("no case with 'er'", ["er", "he"], "error")
    table = with_modalities(TABLE, ["he", "er"], "allow")
    assert table.modalities == ("he", "er") and [case.case_id for case in table.cases] == ["1", "2"]


def test_no_case_at_all_is_an_error_even_where_stains_may_lack():
    refused("no case with any of er, pr", ["er", "pr"], "allow")


def test_two_images_of_one_stain_are_refused_by_name():
    table = CaseTable(Path("cases.csv"), (*CASES, Case("4", "p4", files={"ihc": FILE * 2})), ("he",), ())
    with pytest.raises(CaseTableError, match=r"case 4 has 2 ihc images, and PairedPatches takes one"):
        refuse_several(table, "PairedPatches")
    refuse_several(TABLE, "PairedPatches")
