"""`data check` of a table of labels and its stores."""

from pathfuse.cli import main
from tests.store import foreign


def cohort(tmp_path, rows, header="Patient,HER2,Hospital"):
    for number in range(8):
        for stain in ("he", "ihc"):
            foreign.trident(
                tmp_path / stain / f"P{number}.h5", foreign.features(3, 4), foreign.grid(3), encoder="uni_v1"
            )
    (tmp_path / "t.csv").write_text("\n".join([header, *rows]) + "\n")
    stores = f"{{H&E: {tmp_path / 'he'}, ihc: {tmp_path / 'ihc'}}}"
    return ["data", "check", str(tmp_path / "t.csv"), "--stores", stores]


def test_what_a_fit_would_use_is_printed(tmp_path, capsys):
    rows = [f"P{number},{'2+' if number % 2 else '0'},{'A' if number < 5 else 'B'}" for number in range(8)]
    assert main(cohort(tmp_path, rows)) == 0
    out = capsys.readouterr().out
    for line in (
        "8 cases of 8 patients",
        "patient is Patient, site is Hospital, label is HER2",
        "by site: A 5, B 3",
        "he: 8 files found: encoder uni_v1, width 4 (8)",
        "the first cases as understood:",
        "No problems.",
    ):
        assert line in out
    assert any(line.split()[:2] == ["P0", "P0"] and line.endswith("P0.h5  P0.h5") for line in out.splitlines())


def test_one_patient_by_two_names_in_two_parts_is_a_problem(tmp_path, capsys):
    rows = ["P0,0,A,train", "p-0,0,A,test", "P1,2+,A,train", "P2,2+,A,test"]
    assert main([*cohort(tmp_path, rows, "Patient,HER2,Hospital,split"), "--match", "prefix"]) == 1
    assert "'P0' and 'p-0' look like one" in capsys.readouterr().out


def test_two_columns_that_may_be_the_label_are_refused_and_one_named(tmp_path, capsys):
    rows = [f"P{number},{number % 2},{number % 2}" for number in range(8)]
    words = cohort(tmp_path, rows, "Patient,HER2,ER")
    assert main(words) == 2
    assert "--label HER2" in capsys.readouterr().err
    assert main([*words, "--label", "ER"]) == 0
    assert "label is ER" in capsys.readouterr().out
