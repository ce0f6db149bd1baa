"""Stains of different cases of one class as one training case, and the demo cohort behind a null source."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pathfuse.cohort import Cohort
from pathfuse.core import Batch
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_bags import PairedBags
from pathfuse.demo import BagPictures, DemoCohort
from pathfuse.errors import CaseTableError, RecipeError
from tests.store import foreign


def cohort(folder, he, ihc):
    """Cases with one stain each; features are the number of the case, so that a pair says whose stains it has."""
    lines = ["case_id,patient_id,modality,path,label,split"]
    for stain, labels in (("he", he), ("ihc", ihc)):
        for number, label in enumerate(labels):
            name = f"{stain}{number}"
            (folder / stain).mkdir(exist_ok=True)
            values = np.full((2, 3), number, np.float32)
            foreign.trident(folder / stain / f"{name}.h5", values, foreign.grid(2))
            lines.append(f"{name},{name},{stain},{stain}/{name}.h5,{label},train")
    table = folder / "cases.csv"
    table.write_text("\n".join(lines) + "\n")
    return str(table)


def bags(table, *, pairing="case", batch_size=4, sampler="shuffled", **who) -> PairedBags:
    made = PairedBags(Cohort(cases=table, **{"val_fraction": 0.0, **who}), pairing=pairing)
    made.loading = Loading(batch_size=batch_size, num_workers=0, sampler=sampler)
    return made


def epoch(data, number) -> Batch:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)
    return Batch.cat(list(loader))


@pytest.fixture
def table(tmp_path):
    return cohort(tmp_path, he="aaaaaaabbb", ihc="ab" * 4)


def test_a_pair_has_both_stains_of_its_class_and_every_class_comes_equally_often(table):
    he, ihc = "aaaaaaabbb", "ab" * 4
    batch = epoch(bags(table, pairing="class"), 0)
    assert sorted(batch.target.tolist()) == [0] * 5 + [1] * 5  # ten H&E cases over two classes
    assert batch.present["he"].all() and batch.present["ihc"].all()
    for row in range(len(batch)):
        one = batch.select(torch.tensor([row]))
        lent = [labels[int(one.x[m].values[0, 0])] for m, labels in (("he", he), ("ihc", ihc))]
        assert lent == ["ab"[int(one.target)]] * 2
        assert one.case_ids[0] == f"he{int(one.x['he'].values[0, 0])}+ihc{int(one.x['ihc'].values[0, 0])}"


def test_pairs_are_drawn_anew_each_epoch_and_again_the_same(table):
    first, second = (epoch(bags(table, pairing="class"), number).case_ids for number in (0, 1))
    assert first != second and sorted(first) != sorted(second)
    assert first == epoch(bags(table, pairing="class"), 0).case_ids
    assert first == epoch(bags(table, pairing="class", batch_size=1), 0).case_ids


def test_static_pairs_stay_and_come_in_the_order_of_the_classes(table):
    first, second = (epoch(bags(table, pairing="class_static"), number) for number in (0, 1))
    assert first.case_ids == second.case_ids
    assert first.target.tolist() == [0] * 5 + [1] * 5


def test_only_training_is_paired(table):
    batch = Batch.cat(list(bags(table, pairing="class").predict_dataloader()))
    assert len(batch) == 18 and not (batch.present["he"] & batch.present["ihc"]).any()


def test_a_class_without_a_stain_is_one_line(tmp_path):
    data = bags(cohort(tmp_path, he="ab", ihc="aa"), pairing="class")
    with pytest.raises(CaseTableError, match="no training case of class b has ihc"):
        data.train_dataloader()


def test_without_any_label_there_is_nothing_to_pair_by(tmp_path):
    data = bags(cohort(tmp_path, he=["", ""], ihc=["", ""]), pairing="class", classes=["a", "b"])
    with pytest.raises(CaseTableError, match=r"no training case has a label.*Use pairing: case"):
        data.train_dataloader()


def test_cohorts_with_a_table_each_stay_apart_though_their_cases_have_equal_names(tmp_path):
    cohort(tmp_path, he="ab", ihc="ba")
    for stain in ("he", "ihc"):
        for number in range(2):
            (tmp_path / stain / f"{stain}{number}.h5").rename(tmp_path / stain / f"{number}.h5")
    (tmp_path / "he.csv").write_text("case_id,label\n0,a\n1,b\n")
    (tmp_path / "ihc.csv").write_text("case_id,label\n0,b\n1,a\n")
    stores = {stain: str(tmp_path / stain) for stain in ("he", "ihc")}
    tables = {stain: str(tmp_path / f"{stain}.csv") for stain in ("he", "ihc")}
    data = bags(tables, stores=stores, test_on="all")
    assert [row.case_id for row in data.split_table()] == ["he-0", "he-1", "ihc-0", "ihc-1"]
    assert [row.label for row in data.split_table()] == ["a", "b", "b", "a"]
    with pytest.raises(RecipeError, match=r"cohort\.cases names no label table for ihc"):
        bags({"he": tables["he"]}, stores=stores)


def test_pairs_of_a_class_are_balanced_by_themselves(table):
    with pytest.raises(RecipeError, match=r"data\.pairing is class, .* Remove loading\.sampler"):
        bags(table, pairing="class", sampler="balanced").train_dataloader()


def test_no_source_is_the_demo_cohort_and_says_so(tmp_path):
    who = Cohort(demo=DemoCohort(patients=12, missing={"ihc": 0.4}), cache=str(tmp_path))
    data = PairedBags(who, pictures=BagPictures(grid=2))
    data.loading = Loading(num_workers=0)
    batch = Batch.cat(list(data.predict_dataloader()))
    assert len(batch) == 12 and data.spec()["he"].width == 32
    assert batch.present["he"].all() and 0 < batch.present["ihc"].sum() < 12
    assert "generated" in data.notes()[0] and data.cohort.origin.parent.parent == tmp_path
    merged = PairedBags(replace(who, label_map="zero_low_high"), pictures=BagPictures(grid=2)).spec()
    assert merged.classes == ("0", "low", "high") and merged.class_counts[1] == 2 * merged.class_counts[0]
