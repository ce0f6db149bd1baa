"""Label tables as labs write them, over one cohort of features."""

import pytest

from pathfuse.cohort import Cohort
from pathfuse.errors import CaseTableError
from tests.store import foreign

NAMES = [f"S{number:02d}" for number in range(12)]
WORDS = ["tumor", "normal"] * 6


@pytest.fixture(scope="module")
def feats(tmp_path_factory):
    root = tmp_path_factory.mktemp("feats")
    for name in NAMES:
        foreign.trident(root / "he" / f"{name}.h5", foreign.features(3, 4), foreign.grid(3))
        foreign.trident(root / "ihc" / f"{name}.h5", foreign.features(3, 4), foreign.grid(3))
        foreign.trident(root / "two" / f"{name}_a.h5", foreign.features(3, 4), foreign.grid(3))
        foreign.trident(root / "two" / f"{name}_b.h5", foreign.features(3, 4), foreign.grid(3))
    return root


def cohort(feats, tmp_path, first, rows, *, folder="he", **who):
    path = tmp_path / "t.csv"
    path.write_text("\n".join([first, *rows]) + "\n", encoding="utf-8")
    return Cohort(cases=str(path), stores={"he": str(feats / folder)}, **who)


def rows(form):
    return [
        form.format(n=name, w=word, k=number, s=f"{number % 4}")
        for number, (name, word) in enumerate(zip(NAMES, WORDS, strict=True))
    ]


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("Slide,Label", "{n},{w}"),
        ("Patient,ER", "{n},{w}"),
        ("case_id;slide_id;label", "{n};{n};{w}"),
        ("patient_id;label", "{n};{w}"),
        ("case_id,slide_id,label", "{n},{n}.svs,{w}"),
        (",case_id,slide_id,label", "{k},{n},{n},{w}"),
        ("Unnamed: 0,Case_ID,Slide_ID,Label", "{k},{n},{n},{w}"),
        ("PATIENT_ID,Hospital,HER2_status,age", "{n},A,{w},{k}"),
        ("Case ID\tfilename\tDiagnosis", "{n}\tslides/{n}.ndpi\t{w}"),
        ("pathology no.,label", "{n},{w}"),
        ("Case,HE,label", "c{k},{n}.svs,{w}"),
        ("case,Stain,slide,label", "c{k},H&E,{n},{w}"),
        ("case_id,label", "s{k:02d},{w}"),
    ],
)
def test_a_natural_table_is_read_with_every_file(feats, tmp_path, header, form):
    who = cohort(feats, tmp_path, header, rows(form))
    assert who.class_names == ("normal", "tumor")
    assert [case.files["he"][0].path.stem for case in who] == NAMES


def test_what_was_taken_for_what_is_said_in_one_line(feats, tmp_path):
    who = cohort(feats, tmp_path, "Patient_ID,HER2,Hospital,age", rows("{n},{s},A,{k}"))
    assert "t.csv: patient is Patient_ID, site is Hospital, label is HER2. Further columns: age." in who.notes
    assert who.class_names == ("0", "1+", "2+", "3+") and {case.site for case in who} == {"A"}


def test_slides_of_a_patient_are_found_by_name_or_on_request_by_prefix(feats, tmp_path):
    two = [f"{n},{n}_{s}.svs,{w}" for n, w in zip(NAMES, WORDS, strict=True) for s in "ab"]
    who = cohort(feats, tmp_path, "Patient,filename,status", two, folder="two")
    assert [len(case.files["he"]) for case in who.table.cases] == [2] * 12
    who = cohort(feats, tmp_path, "patient,label", rows("{n},{w}"), folder="two", match="prefix")
    assert [len(case.files["he"]) for case in who.table.cases] == [2] * 12
    with pytest.raises(CaseTableError, match=r"says 'S00', and the folder has 'S00_.'.*--cohort.match prefix"):
        cohort(feats, tmp_path, "patient,label", rows("{n},{w}"), folder="two").table  # noqa: B018


def test_a_prefix_ends_at_a_sign(feats, tmp_path):
    for name in ("P1_a", "P12"):
        foreign.trident(tmp_path / "f" / f"{name}.h5", foreign.features(3, 4), foreign.grid(3))
    who = cohort(tmp_path, tmp_path, "case_id,label", ["P1,a"], folder="f", match="prefix")
    assert [file.path.stem for file in who.unparted.cases[0].files["he"]] == ["P1_a"]


@pytest.mark.parametrize("word", ["NA", "nan", "#N/A", "NULL", "", "unknown", "n/a"])
def test_a_missing_label_is_unknown_and_never_a_class(feats, tmp_path, word):
    lines = [
        line if number % 4 else f"{line.rpartition(',')[0]},{word}" for number, line in enumerate(rows("{n},{n},{w}"))
    ]
    who = cohort(feats, tmp_path, "case_id,slide_id,label", lines)
    assert who.class_names == ("normal", "tumor")
    assert [case.label for case in who.unparted.cases].count("") == 3
    assert any("3 of 12 rows have no label" in note for note in who.notes)


def test_a_class_that_is_called_so_by_name_is_one(feats, tmp_path):
    lines = rows("{n},{w}")
    lines[0] = "S00,unknown"
    who = cohort(feats, tmp_path, "case_id,label", lines, classes=["normal", "tumor", "unknown"])
    assert who.unparted.cases[0].label == "unknown"


def test_one_file_under_two_cases_in_two_parts_is_refused(feats, tmp_path):
    parts = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    lines = [f"{line},{part}" for line, part in zip(rows("{n},{n},{w}"), parts, strict=True)]
    who = cohort(feats, tmp_path, "case_id,slide_id,label,split", [*lines, "X,S00,normal,test"])
    with pytest.raises(CaseTableError, match=r"cases S00 and X have one file, S00\.h5"):
        who.table  # noqa: B018


@pytest.mark.parametrize(
    ("header", "form", "told"),
    [
        ("S99,tumor", "{n},{w}", "--cohort.header none"),
        ("case_id,HER2,ER", "{n},0,{w}", "the label may be HER2 or ER. Name one: --label HER2"),
        ("Case ID,case_id,label", "{n},{n},{w}", "the case may be 'Case ID' or 'case_id'"),
        ("case_id,label", "{n},{n},{w}", "3 cells, but the header has 2"),
    ],
)
def test_a_table_that_is_not_clear_is_refused(feats, tmp_path, header, form, told):
    with pytest.raises(CaseTableError, match=told) as caught:
        cohort(feats, tmp_path, header, rows(form)).table  # noqa: B018
    assert "\n" not in str(caught.value)


def test_columns_are_named_by_name_or_by_number(feats, tmp_path):
    lines = rows("{n},x,{w}")
    named = {"case": "Weird", "label": "KRAS"}
    who = cohort(feats, tmp_path, "Weird,thing,KRAS", lines, columns=named)
    assert [case.label for case in who.unparted.cases] == WORDS
    bare = cohort(feats, tmp_path, lines[0], lines[1:], columns={"case": 1, "label": 3}, header="none")
    assert [case.label for case in bare.unparted.cases] == WORDS


def test_a_table_without_header_has_to_be_said_to_have_none(feats, tmp_path):
    who = cohort(feats, tmp_path, "S00,tumor", rows("{n},{w}")[1:], header="none")
    assert [case.label for case in who.unparted.cases] == WORDS


def test_composed_and_decomposed_letters_name_one_slide(feats, tmp_path):
    foreign.trident(tmp_path / "f" / "Mu\u0308ller.h5", foreign.features(3, 4), foreign.grid(3))
    who = cohort(tmp_path, tmp_path, "case_id,label", ["M\u00fcller,a"], folder="f")
    assert who.unparted.cases[0].files


def test_a_linked_folder_is_followed(feats, tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "link").symlink_to(feats / "he")
    (tmp_path / "f" / "circle").symlink_to(tmp_path / "f")
    who = cohort(tmp_path, tmp_path, "case_id,label", rows("{n},{w}"), folder="f")
    assert all(case.files for case in who.unparted.cases)
