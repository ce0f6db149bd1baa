from pathlib import Path

import pytest

from pathfuse.cohort.sources.pairs import read_folder, stain_folders
from pathfuse.errors import CaseTableError
from tests.conftest import DATA, needs_data
from tests.data.pairs import bci_names, make_flat, make_pairs, save_image


def failure(root: Path, **options) -> str:
    with pytest.raises(CaseTableError) as caught:
        read_folder(root, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_pairs_have_the_same_name_and_a_number_of_another_part_is_another_case(tmp_path):
    table = read_folder(make_pairs(tmp_path, train=2, test=1))
    assert [(case.case_id, case.split, case.label) for case in table.cases] == [
        ("00000_test", "test", "0"),
        ("00000_train", "train", "0"),
        ("00001_train", "train", "1+"),
    ]
    for case in table.cases:
        assert case.files["he"][0].path.name == case.files["ihc"][0].path.name
        assert case.files["he"][0].path.parent.parent.name == "HE"


def test_the_score_is_nowhere_but_in_the_label(tmp_path):
    for case in read_folder(make_pairs(tmp_path)).cases:
        assert "+" not in case.case_id
        assert "+" not in case.patient_id


@pytest.mark.parametrize("stain", ["HE", "IHC"])
def test_an_orphan_is_listed(tmp_path, stain):
    root = make_pairs(tmp_path, train=4, test=0)
    other = "IHC" if stain == "HE" else "HE"
    (root / other / "train" / "00002_train_2+.png").unlink()
    message = failure(root)
    assert f"1 partners are missing: {stain}/train/00002_train_2+.png (no {other})" in message
    assert "missing: allow" in message


def test_an_orphan_is_an_absent_stain_when_that_is_allowed(tmp_path):
    root = make_pairs(tmp_path, train=4, test=0)
    (root / "IHC" / "train" / "00002_train_2+.png").unlink()
    cases = read_folder(root, missing="allow").cases
    assert [sorted(case.files) for case in cases] == [["he", "ihc"], ["he", "ihc"], ["he"], ["he", "ihc"]]


def test_many_orphans_are_counted_and_some_are_named(tmp_path):
    root = make_pairs(tmp_path, train=12, test=0, stains=["HE"])
    (root / "IHC").mkdir()
    message = failure(root)
    assert "12 partners are missing" in message
    assert "and 4 more" in message


def test_partners_with_different_scores_are_no_pair(tmp_path):
    root = make_flat(tmp_path, bci_names(2))
    (root / "IHC" / "00001_train_1+.png").rename(root / "IHC" / "00001_train_3+.png")
    assert "HE/00001_train_1+.png (no IHC), IHC/00001_train_3+.png (no HE)" in failure(root)
    assert "two scores" in failure(root, missing="allow")


def test_an_unknown_class_is_named_with_its_file(tmp_path):
    root = make_flat(tmp_path, ["00000_train_1+.png", "00001_train_4+.png"])
    message = failure(root)
    assert "00001_train_4+.png" in message
    assert "'4+'" in message
    assert "0, 1+, 2+, 3+" in message


def test_a_flat_folder_has_no_parts_and_says_so(tmp_path):
    table = read_folder(make_flat(tmp_path, ["00000_train_0.png", "00000_test_0.png"]))
    assert [case.split for case in table.cases] == ["", ""]
    assert any("split word" in note for note in table.notes)


def test_names_without_a_score_are_cases_without_a_label(tmp_path):
    cases = read_folder(make_flat(tmp_path, ["tissue_a.png", "b.png"])).cases
    assert [(case.case_id, case.label) for case in cases] == [("b", ""), ("tissue_a", "")]


def test_an_h_and_e_folder_alone_serves_a_recipe_that_reads_it_alone(tmp_path):
    root = make_pairs(tmp_path, train=2, test=0, stains=["HE"])
    assert "(no IHC)" in failure(root)
    assert [list(case.files) for case in read_folder(root, modalities=["he"]).cases] == [["he"], ["he"]]
    assert [list(case.files) for case in read_folder(root, missing="allow").cases] == [["he"], ["he"]]


def test_any_number_of_stains_with_any_names(tmp_path):
    root = make_flat(tmp_path, bci_names(2), stains=["HE", "IHC", "Ki67"])
    table = read_folder(root, modalities=["he", "ihc", "ki67"])
    assert list(table.cases[0].files) == ["he", "ihc", "ki67"]
    assert stain_folders(root) == ("he", "ihc", "ki67")


def test_a_folder_without_stains_is_named(tmp_path):
    assert "no image in a folder HE, IHC" in failure(tmp_path)
    assert "cannot be read" in failure(tmp_path / "none")


def test_two_files_of_one_name_are_refused(tmp_path):
    root = make_flat(tmp_path, bci_names(1))
    save_image(root / "HE" / "00000_train_0.jpg")
    assert "same name" in failure(root)


def test_groups_become_patients(tmp_path):
    root = make_flat(tmp_path / "pairs", bci_names(3))
    groups = tmp_path / "groups.csv"
    groups.write_text("file,group\n00000_train_0.png,s1\n00001_train,s1\nHE/00002_train_2+.png,s2\n")
    table = read_folder(root, groups=groups)
    assert [case.patient_id for case in table.cases] == ["s1", "s1", "s2"]
    assert not any("may lie in two parts" in note for note in table.notes)


def test_without_groups_the_notes_say_that_slides_may_be_on_both_sides(tmp_path):
    table = read_folder(make_flat(tmp_path, bci_names(3)))
    assert any("patches of one slide may lie in two parts" in note for note in table.notes)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,group\n00000_train_0.png,s1\n", "no row for 00001_train"),
        ("file,group\n00000_train_0.png,s1\n00000_train_0.png,s2\n", "line 3"),
        ("name,slide\n00000_train_0.png,s1\n", "columns file, group"),
        ("file,group\n00000_train_0.png,\n", "line 2"),
    ],
)
def test_groups_that_do_not_fit_are_refused(tmp_path, text, told):
    root = make_flat(tmp_path / "pairs", bci_names(2))
    groups = tmp_path / "groups.csv"
    groups.write_text(text)
    assert told in failure(root, groups=groups)


@needs_data
def test_the_real_pairs_are_found_whatever_the_order_of_the_listing(monkeypatch):
    table = read_folder(DATA / "bci_thumbs")
    counts = [sum(case.label == label for case in table.cases) for label in table.classes]
    assert counts == [1, 4, 11, 8]
    assert all(case.files["he"][0].path.name == case.files["ihc"][0].path.name for case in table.cases)
    forwards = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: reversed(list(forwards(folder))))
    assert read_folder(DATA / "bci_thumbs").cases == table.cases
