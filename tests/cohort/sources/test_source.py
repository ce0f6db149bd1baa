"""What a path is taken for, with the look-alikes of every kind."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathfuse.cohort.sources.source import kind_of, read_source
from pathfuse.errors import CaseTableError
from tests.data.pairs import bci_names, make_flat, make_pairs, save_image, write_table


def table(folder, *lines, name="t.csv"):
    return write_table(folder / name, *lines)


def pcam(root, names=("x_train_x.h5", "x_train_y.h5")):
    root.mkdir(parents=True)
    for name in names:
        with h5py.File(root / name, "w") as file:
            file[name[-4]] = np.zeros((4, 8, 8, 3) if name.endswith("_x.h5") else 4, np.uint8)
    return root


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["case_id,patient_id,modality,path,label", "1,p,he,a.png,0"], "case table"),
        (["case_id,patient_id,he,ihc,label", "1,p,a.png,b.png,0"], "case table"),
        (["case_id,patient_id,label,he", "1,p,0,a.png;b.png"], "case table"),
        (["patient_id,path,case_id,modality", "p,no suffix,1,he"], "case table"),
        # Names of slides look like files, but of a label table.
        (["case_id,patient_id,slide_id,label", "1,p,a.svs,0"], "label table"),
        (["case_id,slide_id,label", "1,a.svs,0"], "label table"),
        (["PATIENT,FILENAME,HER2", "p1,a/x.h5,0"], "label table"),
        (["case_id,patient_id,Slide,label", "1,p,a.tif,0"], "label table"),
        (["case_id,patient_id,slide_id,scan,label", "1,p,a.svs,a.svs,0"], "label table"),
        (["case_id,patient_id,label", "1,p,0"], "label table"),
        (["case_id,label", "1,0"], "label table"),
        (["slide_id,HE,HER2", "s1,1,0"], "label table"),
        (["case_id,patient_id,label,grade", "1,p,0,2.5"], "label table"),  # a number is no file
        (["case_id,path,label", "1,a.png,0"], "label table"),
        (["A notice about the data,", "id,label", "007,3+"], "label table"),
    ],
)
def test_a_table_is_known_by_its_columns(tmp_path, lines, kind):
    assert kind_of(table(tmp_path, *lines)) == kind


def test_a_column_of_files_may_begin_with_empty_cells(tmp_path):
    rows = [f"c{number},p{number},,0" for number in range(20)]
    assert kind_of(table(tmp_path, "case_id,patient_id,he,label", *rows, "c,p,a.png,0")) == "case table"


def test_a_byte_order_mark_does_not_hide_the_first_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfcase_id,patient_id,modality,path\r\n1,p,he,a.png\r\n")
    assert kind_of(path) == "case table"


def test_a_folder_with_a_case_table_is_that_table_whatever_lies_beside(tmp_path):
    make_pairs(tmp_path, train=2, test=0)
    assert kind_of(tmp_path) == "folder of pairs"
    save_image(tmp_path / "a.png")
    table(tmp_path, "case_id,patient_id,modality,path", "1,p,he,a.png", name="cases.csv")
    assert kind_of(tmp_path) == "case table"
    kind, found = read_source(tmp_path)
    assert kind == "case table" and [case.case_id for case in found.cases] == ["1"]
    assert found.origin == tmp_path / "cases.csv"


@pytest.mark.parametrize("stains", [("HE", "IHC"), ("he", "ihc"), ("HE",), ("IHC",), ("HE", "IHC", "Ki67")])
@pytest.mark.parametrize("shape", [make_flat, lambda root, names, stains: make_pairs(root, 3, 1, stains)])
def test_folders_of_stains_are_pairs(tmp_path, stains, shape):
    assert kind_of(shape(tmp_path / "root", bci_names(3), stains=stains)) == "folder of pairs"


def test_folders_that_share_names_are_pairs_though_none_is_called_he(tmp_path):
    root = make_flat(tmp_path / "root", bci_names(3), stains=["PAS", "Ki67"])
    assert kind_of(root) == "folder of pairs"
    _, found = read_source(root)
    assert found.modalities == ("ki67", "pas") and len(found.cases) == 3
    assert all(set(case.files) == {"ki67", "pas"} for case in found.cases)


def test_folders_of_wanted_stains_are_pairs_whatever_the_names_of_their_files(tmp_path):
    root = make_flat(tmp_path / "root", ["a.png", "b.png"], stains=["PAS", "Ki67"])
    assert kind_of(root, ["pas", "ki67"]) == "folder of pairs"
    _, found = read_source(root, modalities=["ki67"])
    assert found.modalities == ("ki67",) and [case.label for case in found.cases] == ["", ""]


@pytest.mark.parametrize("wanted", [None, ["he"], ["ihc"]])
def test_classes_that_are_numbered_from_0_each_are_no_pairs(tmp_path, wanted):
    for label in ("normal", "tumour", "stroma"):
        for number in range(3):
            save_image(tmp_path / label / f"{number}.png")
    assert kind_of(tmp_path, wanted) == "folder of classes"
    _, found = read_source(tmp_path, modalities=wanted)
    assert found.classes == ("normal", "stroma", "tumour") and len(found.cases) == 9


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_folders_without_a_name_in_common_are_classes(tmp_path, suffix):
    for label, first in (("normal", 0), ("tumour", 10)):
        for number in range(first, first + 3):
            save_image(tmp_path / label / f"{number}{suffix}")
    assert kind_of(tmp_path) == "folder of classes"
    kind, found = read_source(tmp_path)
    assert kind == "folder of classes" and found.classes == ("normal", "tumour") and len(found.cases) == 6


@pytest.mark.parametrize("parts", [("train", "test"), ("train", "valid", "test"), ("Training", "Validation")])
def test_folders_of_parts_are_classes_though_their_names_repeat(tmp_path, parts):
    for part in parts:
        for label in ("normal", "tumour"):
            save_image(tmp_path / part / label / "0.png")
    assert kind_of(tmp_path) == "folder of classes"
    _, found = read_source(tmp_path, modalities=["ihc"])
    assert {case.label for case in found.cases} == {"normal", "tumour"} and found.modalities == ("ihc",)
    assert len({case.split for case in found.cases}) == len(parts)


def test_an_empty_folder_is_one_of_classes_that_holds_none(tmp_path):
    assert kind_of(tmp_path) == "folder of classes"
    with pytest.raises(CaseTableError, match="neither a folder per class nor PatchCamelyon"):
        read_source(tmp_path)


@pytest.mark.parametrize("names", [("x_train_x.h5", "x_train_y.h5"), ("camelyon_valid_x.h5", "camelyon_valid_y.h5")])
def test_hdf5_of_patches_is_patchcamelyon_whatever_lies_beside(tmp_path, names):
    root = pcam(tmp_path / "root", names)
    save_image(root / "normal" / "0.png")
    assert kind_of(root) == "PatchCamelyon folder"
    assert len(read_source(root, modalities=["he"])[1].cases) == 4


def test_patchcamelyon_that_is_still_packed_is_known_and_says_what_to_do(tmp_path):
    (tmp_path / "camelyon_train_x.h5.gz").write_bytes(b"\x1f\x8b")
    assert kind_of(tmp_path) == "PatchCamelyon folder"
    with pytest.raises(CaseTableError, match="still packed"):
        read_source(tmp_path)


def test_hdf5_of_features_is_not_patchcamelyon(tmp_path):
    root = pcam(tmp_path / "root", ())
    with h5py.File(root / "slide.h5", "w") as file:
        file["features"] = np.zeros((3, 4))
    assert kind_of(root) == "folder of files"


def test_what_is_not_there_or_no_table_is_named_in_one_line(tmp_path):
    (tmp_path / "image.png").write_bytes(bytes(range(128, 256)))
    for name, told in (("none", "does not exist"), ("image.png", "is a .png file and no table")):
        with pytest.raises(CaseTableError, match=told) as caught:
            kind_of(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "lines",
    [["case_id,patient_id,modality,path", "1,p,he,a.png"], ["case_id,label", "1,0"]],
    ids=["case table", "label table"],
)
def test_groups_are_refused_beside_a_table_which_names_its_patients(tmp_path, lines):
    save_image(tmp_path / "a.png")
    path = table(tmp_path, *lines)
    with pytest.raises(CaseTableError, match=r"groups\.csv is not read beside t\.csv"):
        read_source(path, groups=tmp_path / "groups.csv")


def test_the_spacing_fills_gaps_and_changes_nothing_that_is_said(tmp_path):
    save_image(tmp_path / "a.png")
    path = table(tmp_path, "case_id,patient_id,modality,path,mpp", "1,p,he,a.png,0.25", "2,q,he,a.png,")
    _, found = read_source(path, mpp=0.5)
    assert [case.files["he"][0].mpp for case in found.cases] == [0.25, 0.5]


def test_a_label_table_without_stores_has_cases_without_files(tmp_path):
    path = table(tmp_path, "case_id,patient_id,score,split,site", "1,p,3+,train,X", "2,q,,test,Y")
    kind, found = read_source(path)
    assert kind == "label table" and found.classes == ("0", "1+", "2+", "3+")
    assert [(case.label, case.split, dict(case.files)) for case in found.cases] == [
        ("3+", "train", {}), ("", "test", {}),
    ]  # fmt: skip


@given(text=st.text(max_size=80))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_taken_for_a_table_or_refused_in_one_line(tmp_path, text):
    path = tmp_path / "any.csv"
    path.write_text(text, encoding="utf-8", errors="ignore")
    try:
        assert kind_of(path) in ("case table", "label table")
    except CaseTableError as error:
        assert len(str(error).splitlines()) == 1


def test_a_folder_of_registrations_says_how_its_pairs_are_cut(tmp_path):
    (tmp_path / "P1-ihc").mkdir()
    (tmp_path / "register.html").write_text("")
    with pytest.raises(CaseTableError, match=r"holds registrations of slides\. Cut its pairs with `pathfuse pairs"):
        kind_of(tmp_path)
