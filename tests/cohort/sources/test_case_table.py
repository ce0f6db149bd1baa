import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathfuse.cohort.sources.case_table import read_cases, scan_cases, write_cases
from pathfuse.cohort.table import Case, CaseFile
from pathfuse.errors import CaseTableError

LONG = "case_id,patient_id,modality,path,label,split"


def table(folder: Path, *lines: str, name: str = "cases.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def images(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"x")


def failure(path: Path, **options) -> str:
    with pytest.raises(CaseTableError) as caught:
        read_cases(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


def test_a_long_table_gathers_the_files_of_a_case_by_stain(tmp_path):
    images(tmp_path, "a.png", "b.png", "c.png")
    path = table(
        tmp_path,
        LONG + ",mpp,ish",
        "007,p1,he,a.png,2+,train,0.25,positive",
        "007,p1,he,b.png,2+,train,0.5,positive",
        "007,p1,ihc,c.png,2+,train,,positive",
    )
    (case,) = read_cases(path).cases
    assert case == Case(
        "007",
        "p1",
        "2+",
        "train",
        files={
            "he": (CaseFile(tmp_path / "a.png", 0.25), CaseFile(tmp_path / "b.png", 0.5)),
            "ihc": (CaseFile(tmp_path / "c.png"),),
        },
        labels={"ish": "positive"},
    )


def test_a_wide_table_says_the_same_as_a_long_one(tmp_path):
    images(tmp_path, "a.png", "b.png", "c.png")
    long = table(
        tmp_path,
        LONG + ",mpp",
        "1,p1,he,a.png,0,train,0.5",
        "1,p1,he,b.png,0,train,0.5",
        "1,p1,ihc,c.png,0,train,",
        "2,p2,ihc,c.png,1+,test,",
    )
    wide = table(
        tmp_path,
        "case_id,patient_id,label,split,he,ihc,he_mpp",
        "1,p1,0,train,a.png; b.png,c.png,0.5",
        "2,p2,1+,test,,c.png,",
        name="wide.csv",
    )
    assert read_cases(wide).cases == read_cases(long).cases
    assert read_cases(wide).modalities == ("he", "ihc")


def test_a_wide_column_without_suffixes_is_a_stain_when_it_is_named_one(tmp_path):
    images(tmp_path, "slide1")
    path = table(tmp_path, "case_id,patient_id,ki67,site", "1,p1,slide1,basel")
    (case,) = read_cases(path, modalities=["ki67"]).cases
    assert case.files == {"ki67": (CaseFile(tmp_path / "slide1"),)}
    assert case.site == "basel"


def test_ids_stay_text_and_keep_their_zeros(tmp_path):
    images(tmp_path, "a.png")
    (case,) = read_cases(table(tmp_path, LONG, "0010,0007,he,a.png,0,")).cases
    assert (case.case_id, case.patient_id) == ("0010", "0007")


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path):
    images(tmp_path, "a.png")
    path = tmp_path / "cases.csv"
    path.write_bytes(b"\xef\xbb\xbf" + LONG.encode() + b"\r\n1,p1,he,a.png,0,\r\n")
    assert read_cases(path).cases[0].case_id == "1"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([LONG.replace("patient_id,", ""), "1,he,a.png,0,train"], ["line 1", "column patient_id is missing"]),
        ([LONG.replace("case_id", "slide"), "1,p,he,a.png,0,train"], ["column case_id is missing"]),
        ([LONG.replace(",path", ""), "1,p,he,0,train"], ["column path is missing beside modality"]),
        ([LONG + ",label", "1,p,he,a.png,0,train,0"], ["column 'label' occurs twice"]),
        (["case_id,patient_id,label", "1,p,0"], ["none holds files"]),
        ([LONG, "1,p,he," + "x" * 300 + ".png,0,train"], ["line 2", "does not exist"]),
        ([LONG, "1,p,he,gone.png,0,train"], ["line 2", "gone.png does not exist"]),
        ([LONG, "1,p,he,a.png,1+,train", "2,p,he,a.png,4+,train"], ["line 3", "'4+'", "0, 1+, 2+, 3+"]),
        ([LONG, "1,p,he,a.png,3+,train", "2,p,he,a.png,3++,train"], ["line 3", "Did you mean 3+?"]),
        ([LONG, "1,p,he,a.png,0,train", "1,p,he,a.png,0,train"], ["line 3", "already a file of case 1"]),
        ([LONG, "1,p,he,a.png,0,train", "2,p,he,a.png,0,test"], ["line 3", "patient p is in test", "line 2"]),
        ([LONG, "1,p,he,a.png,0,train", "1,p,ihc,a.png,1,train"], ["line 3", "label '1'", "'0' in line 2"]),
        ([LONG, "1,p,he,a.png,0,train", "1,q,ihc,a.png,0,train"], ["line 3", "patient_id 'q'", "'p' in line 2"]),
        ([LONG, "1,p,he,a.png,0,practice"], ["line 2", "split 'practice'", "train, val, test"]),
        ([LONG, "1,p,he,a.png,0,train", "2,q,he,a.png,0,"], ["line 3", "case 2 has no split"]),
        ([LONG, "1,p,he,,0,train"], ["line 2", "path is empty"]),
        ([LONG, "1,,he,a.png,0,train"], ["line 2", "patient_id is empty"]),
        ([LONG, "1,p,he,a.png,0"], ["line 2", "5 cells", "6"]),
        ([LONG + ",mpp", "1,p,he,a.png,0,train,fast"], ["line 2", "mpp 'fast'"]),
        ([LONG + ",mpp", "1,p,he,a.png,0,train,-1"], ["mpp '-1'"]),
        ([LONG + ",mpp", "1,p,he,a.png,0,train,352.8"], ["mpp '352.8'"]),
        ([LONG + ",mpp", "1,p,he,a.png,0,train,nan"], ["mpp 'nan'"]),
        ([LONG], ["no rows"]),
        ([""], ["is empty"]),
        (["case_id,patient_id,he", "1,p,a.png", "1,p,a.png"], ["line 3", "already in line 2"]),
        ([LONG, '1,p,he,"a.png,0,train'], ["quotes"]),
    ],
)
def test_a_wrong_table_is_one_line_that_names_the_place(tmp_path, lines, told):
    images(tmp_path, "a.png")
    message = failure(table(tmp_path, *lines))
    for text in told:
        assert text in message


def test_another_encoding_is_named_with_its_line(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_bytes(LONG.encode() + b"\n1,M\xfcller,he,a.png,0,train\n")
    assert "line 2 is not UTF-8" in failure(path)


def test_a_table_that_is_not_there_is_named(tmp_path):
    assert "cannot be read" in failure(tmp_path / "none.csv")


def test_all_problems_are_collected_and_the_first_says_how_many_more(tmp_path):
    path = table(tmp_path, LONG, "1,p,he,a.png,0,train", "2,p,he,b.png,0,test", "3,,he,c.png,0,train")
    _, problems = scan_cases(path)
    assert len(problems) == 4
    assert "(3 more;" in failure(path)


def test_given_classes_decide_which_labels_are_known(tmp_path):
    images(tmp_path, "a.png")
    path = table(tmp_path, LONG, "1,p,he,a.png,low,")
    assert read_cases(path).classes == ("low",)
    assert read_cases(path, classes=["zero", "low", "high"]).classes == ("zero", "low", "high")
    assert "'low' is none of zero, high" in failure(path, classes=["zero", "high"])


def test_her2_scores_always_make_four_classes(tmp_path):
    images(tmp_path, "a.png")
    path = table(tmp_path, LONG, "1,p,he,a.png,3+,")
    assert read_cases(path).classes == ("0", "1+", "2+", "3+")


WORD = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=8)
NAME = st.text("abcdef ,;\"'é+", min_size=1, max_size=8).map(str.strip).filter(bool)
FILE = st.builds(CaseFile, NAME.map(lambda name: Path("/images") / name), st.none() | st.floats(0.05, 40))


@st.composite
def cohorts(draw):
    ids = draw(st.lists(WORD, min_size=1, max_size=5, unique=True))
    given_parts = draw(st.booleans())
    part = st.sampled_from(["train", "val", "test"]) if given_parts else st.just("")
    stains = draw(st.lists(WORD.map(str.casefold), min_size=1, max_size=3, unique_by=str.casefold))
    cases = []
    for case_id in ids:
        names = draw(st.lists(st.sampled_from(stains), min_size=1, unique=True))
        files = {m: tuple(draw(st.lists(FILE, min_size=1, max_size=2, unique_by=lambda f: f.path))) for m in names}
        label, grade = draw(st.sampled_from(["", "a", "b"])), draw(st.sampled_from(["", "g1", "g 2"]))
        cases.append(Case(case_id, case_id, label, draw(part), draw(WORD), files, {"grade": grade}))
    return cases


@given(cases=cohorts())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_written_table_reads_back_equal(tmp_path, cases):
    path = tmp_path / "cases.csv"
    write_cases(path, cases)
    assert list(read_cases(path, check_files=False).cases) == cases


@given(cells=st.lists(st.lists(st.text(max_size=6), min_size=1, max_size=7), max_size=5), header=st.booleans())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_read_or_refused_but_never_breaks_the_reader(tmp_path, cells, header):
    path = tmp_path / "cases.csv"
    with path.open("w", encoding="utf-8", errors="ignore", newline="") as file:
        csv.writer(file).writerows([[*LONG.split(","), "mpp"], *cells] if header else cells)
    try:
        _, problems = scan_cases(path)
    except CaseTableError as error:
        problems = [str(error)]
    assert all(len(line.splitlines()) == 1 for line in problems)


def test_a_case_without_files_cannot_be_written_and_leaves_no_half_table(tmp_path):
    path = tmp_path / "cases.csv"
    with pytest.raises(CaseTableError, match="has no file"):
        write_cases(path, [Case("1", "p", files={"he": (CaseFile(tmp_path / "a.png"),)}), Case("2", "p")])
    assert list(tmp_path.iterdir()) == []
