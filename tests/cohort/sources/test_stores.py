"""Cases from folders of features and the label tables that other tools write."""

import csv

import pytest
import torch

from pathfuse.cohort import Cohort
from pathfuse.cohort.sources.columns import Columns
from pathfuse.cohort.sources.label_tables import read_labels
from pathfuse.core import Batch
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_bags import PairedBags
from pathfuse.errors import CaseTableError, PathfuseError, StoreError
from tests.store import foreign


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def bags(stores, table, **who):
    folders = {stain: str(folder) for stain, folder in stores.items()}
    made = PairedBags(Cohort(cases=str(table), stores=folders, **who))
    made.loading = Loading(num_workers=0)
    return made


def lengths(data):
    batch = Batch.cat(list(data.predict_dataloader()))
    return {
        case: tuple(int(batch.x[stain].lengths[row]) for stain in batch.x) for row, case in enumerate(batch.case_ids)
    }


def test_clam_slides_of_a_case_are_joined_in_table_order(tmp_path):
    for name, count in (("s1", 3), ("s2", 4), ("s3", 5)):
        foreign.clam(tmp_path / "he", name, foreign.features(count, 4, count), foreign.grid(count))
    foreign.clam(tmp_path / "ihc", "i1", foreign.features(2, 6), foreign.grid(2))
    labels = write(tmp_path / "d.csv", "case_id,slide_id,label\n01,s2,a\n01,s1,a\n01,i1,a\n02,s3,b\n02,s9,b\n")
    data = bags({"he": tmp_path / "he", "ihc": tmp_path / "ihc"}, labels)
    assert lengths(data) == {"01": (7, 2), "02": (5, 0)}
    assert any("1 slides of d.csv have no features: s9" in note for note in data.notes())
    batch = next(iter(data.predict_dataloader()))
    assert [info.slide_id for info in batch.x["he"].slides[0]] == ["s2", "s1"]
    assert torch.equal(batch.x["he"].values[:4], torch.from_numpy(foreign.features(4, 4, 4)).float())


def test_stamp_tables_and_nested_folders(tmp_path):
    for name in ("a/x", "b/y"):
        foreign.stamp(tmp_path / "he" / f"{name}.h5", foreign.features(3, 4), foreign.grid(3) * 0.25)
    labels = write(tmp_path / "t.csv", "PATIENT,FILENAME,HER2\np1,a/x.h5,0\np2,b/y.h5,3+\n")
    data = bags({"he": tmp_path / "he"}, labels, mpp=0.25)
    assert lengths(data) == {"p1": (3,), "p2": (3,)}
    assert [row.label for row in data.split_table()] == ["0", "3+"]
    assert next(iter(data.predict_dataloader())).x["he"].coords.tolist()[:3] == foreign.grid(3).tolist()


def test_madeleine_table_says_which_stain_exists(tmp_path):
    foreign.madeleine(tmp_path / "HE" / "s1_HE.h5", foreign.features(3, 4))
    foreign.madeleine(tmp_path / "HE" / "s2_HE_val.h5", foreign.features(5, 4))
    for name in ("s1_HER2", "s2_HER2_val"):
        foreign.madeleine(tmp_path / "HER2" / f"{name}.h5", foreign.features(2, 4))
    labels = write(tmp_path / "m.csv", ",slide_id,HE,HER2,PGR,split\n0,s1,1,0,1,train\n1,s2,1,1.0,0,val\n")
    data = bags({"he": tmp_path / "HE", "her2": tmp_path / "HER2"}, labels)
    assert lengths(data) == {"s1": (3, 0), "s2": (5, 2)}
    assert [row.split for row in data.split_table()] == ["train", "val"]


def test_a_stain_that_the_madeleine_table_promises_and_no_file_holds_is_named(tmp_path):
    foreign.madeleine(tmp_path / "s1_HE.h5", foreign.features(3, 4))
    labels = write(tmp_path / "m.csv", "slide_id,HE\ns1,1\ns2,1\n")
    notes = bags({"he": tmp_path}, labels).notes()
    assert any("s2 (he)" in note for note in notes)


@pytest.mark.parametrize(
    ("header", "text", "label", "fold"),
    [
        ("none", "007,3+\n008,0\n", "3+", None),
        ("none", "007,3+,4\n008,0,1\n", "3+", "4"),
        ("first", "A notice about the data,\nid,label,fold\n007,3+,4\n008,0,1\n", "3+", "4"),
    ],
)
def test_wsmcl_labels_have_two_or_three_columns_with_or_without_header(tmp_path, header, text, label, fold):
    rows, _ = read_labels(write(tmp_path / "l.csv", text), columns=Columns(header=header))
    assert (rows[0].case_id, rows[0].label, rows[0].more.get("fold")) == ("007", label, fold)
    for stain in ("he", "ihc"):
        foreign.wsmcl(tmp_path / stain, "007", foreign.features(3, 4), foreign.grid(3))
        foreign.wsmcl(tmp_path / stain, "008", foreign.features(2, 4), foreign.grid(2), "_feature")
    data = bags({"he": tmp_path / "he", "ihc": tmp_path / "ihc"}, tmp_path / "l.csv", header=header)
    assert lengths(data) == {"007": (3, 3), "008": (2, 2)}


def test_parts_of_a_slide_in_an_eva_manifest_are_joined(tmp_path):
    foreign.eva(tmp_path / "a-1.pt", foreign.features(3, 4, 1))
    torch.save(torch.from_numpy(foreign.features(2, 4, 2)), tmp_path / "a-0.pt")
    manifest = write(
        tmp_path / "manifest.csv", "origin,embeddings,target,split,wsi_id\nx,a-1.pt,0,train,a\ny,a-0.pt,0,train,a\n"
    )
    labels = write(tmp_path / "l.csv", "case_id,label\na,0\n")
    assert lengths(bags({"he": tmp_path}, labels)) == {"a": (5,)}
    write(manifest, "origin,embeddings,target,split\nx,../../secret.pt,0,train\n")
    with pytest.raises(StoreError, match="no path inside"):
        bags({"he": tmp_path}, labels).spec()


def test_a_case_never_takes_a_file_whose_name_only_begins_like_it(tmp_path):
    for name in ("P1", "P1_2", "P12"):
        foreign.trident(tmp_path / f"{name}.h5", foreign.features(len(name), 4), foreign.grid(len(name)))
    labels = write(tmp_path / "l.csv", "case_id,label\nP1,0\n")
    assert lengths(bags({"he": tmp_path}, labels)) == {"P1": (2,)}


def test_two_files_of_one_name_are_refused_only_when_the_name_is_used(tmp_path):
    for name in ("a/s", "b/s", "t"):
        foreign.trident(tmp_path / "he" / f"{name}.h5", foreign.features(3, 4), foreign.grid(3))
    with pytest.raises(StoreError, match="are both slide s"):
        bags({"he": tmp_path / "he"}, write(tmp_path / "l.csv", "case_id,label\ns,0\n")).spec()
    assert lengths(bags({"he": tmp_path / "he"}, write(tmp_path / "l.csv", "case_id,label\nt,0\n"))) == {"t": (3,)}
    labels = write(tmp_path / "l.csv", "case_id,slide_id,label\nc,b/s,0\n")
    assert lengths(bags({"he": tmp_path / "he"}, labels)) == {"c": (3,)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("name,b\nx,0\n", "no column is known to name the case"),
        ("a,b,c,d\n1,2,3,4\n", "--cohort.header none"),
        ("case_id,label\n,0\n", "line 2: case_id is empty"),
        ("case_id,label\nx,0\nx,1\n", "line 3: case x has label '1', but '0' in line 2"),
        ("case_id,slide_id,label,ISH\nx,x-1,0,\nx,x-2,0,neg\n", "line 3: case x has ISH 'neg', but '' in line 2"),
        ("case_id,label,split\nx,0,practice\n", "split 'practice' is none of"),
        ("case_id,label\nx\ny,0,1\n", "line 2: 1 cells"),
        ("slide_id,HE,label\nx,2,0\n", "HE is '2', neither 0 nor 1"),
        ("case_id,label\nz,0\n", "no case has a file"),
        ("case_id,label\nx,9\n", "label '9' is none of"),
    ],
)
def test_a_wrong_label_table_is_one_line_with_its_place(tmp_path, text, message):
    foreign.trident(tmp_path / "he" / "x.h5", foreign.features(3, 4), foreign.grid(3))
    with pytest.raises(CaseTableError, match=message) as caught:
        bags({"he": tmp_path / "he"}, write(tmp_path / "l.csv", text), classes=["0", "1"]).spec()
    assert "\n" not in str(caught.value)


def test_what_ish_says_in_a_label_table_decides_the_merged_label(tmp_path):
    for name in ("a-1", "a-2", "b-1"):
        foreign.trident(tmp_path / "he" / f"{name}.h5", foreign.features(3, 4), foreign.grid(3))
    rows = "a,a-1,2+,pos,1\na,a-2,2+,pos,2\nb,b-1,2+,neg,1\n"
    table = write(tmp_path / "l.csv", "case_id,slide_id,label,ISH,block\n" + rows)  # a block is one of the slide
    data = bags({"he": tmp_path / "he"}, table, label_map="zero_low_high_ish")
    assert [case.label for case in data.cohort] == ["high", "low"]


def test_a_label_table_in_another_encoding_or_a_folder_without_features_is_one_line(tmp_path):
    (tmp_path / "he").mkdir()
    labels = write(tmp_path / "l.csv", "case_id,label\nx,0\n")
    for stores in ({"he": tmp_path / "he"}, {"he": tmp_path / "not there"}):
        with pytest.raises(PathfuseError, match="feature"):
            bags(stores, labels).spec()
    foreign.trident(tmp_path / "he" / "x.h5", foreign.features(3, 4), foreign.grid(3))
    labels.write_bytes("case_id,label\nZiółko,0\n".encode("cp1250"))
    with pytest.raises(CaseTableError, match="line 2 is not UTF-8"):
        bags({"he": tmp_path / "he"}, labels).spec()


def test_stains_may_come_from_different_stores_and_encoders(tmp_path):
    for name in ("x", "y"):
        foreign.trident(tmp_path / "he" / f"{name}.h5", foreign.features(3, 4), foreign.grid(3), encoder="uni_v1")
        foreign.stamp(
            tmp_path / "ihc" / f"{name}.h5", foreign.features(2, 7), foreign.grid(2) * 0.25, extractor="virchow2"
        )
    labels = write(tmp_path / "l.csv", "case_id,patient_id,label,split\nx,p,0,train\ny,q,1,test\n")
    data = bags({"he": tmp_path / "he", "ihc": tmp_path / "ihc"}, labels)
    assert [(m.name, m.width) for m in data.spec().modalities] == [("he", 4), ("ihc", 7)]
    assert [(row.patient_id, row.split) for row in data.split_table()] == [("p", "train"), ("q", "test")]


def test_a_wide_case_table_of_feature_files_is_read(tmp_path):
    for name in ("a", "b", "c"):
        foreign.trident(tmp_path / f"{name}.h5", foreign.features(3, 4), foreign.grid(3))
    with (tmp_path / "cases.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["case_id", "patient_id", "he", "ihc", "label"],
                ["1", "1", "a.h5;b.h5", "", "0"],
                ["2", "2", "", "c.h5", "1"],
            ]
        )
    assert lengths(PairedBags(Cohort(cases=str(tmp_path)))) == {"1": (6, 0), "2": (0, 3)}


def test_a_recipe_can_name_every_option(tmp_path):
    from jsonargparse import ArgumentParser

    from pathfuse.data.contract import CaseData

    foreign.trident(tmp_path / "he" / "x.h5", foreign.features(3, 4), foreign.grid(3))
    labels = write(tmp_path / "l.csv", "case_id,label\nx,0\n")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(CaseData, "data")
    options = {
        "cohort": {"cases": str(labels), "stores": {"he": str(tmp_path / "he")}, "mpp": 0.25},
        "require": ["coords", "mpp"],
        "patches_per_bag": 5,
    }
    config = parser.parse_object({"data": {"class_path": "pathfuse.data.paired_bags.PairedBags", "init_args": options}})
    data = parser.instantiate(config).data
    assert data.modalities == ("he",) and data.require == ("coords", "mpp") and data.patches_per_bag == 5
