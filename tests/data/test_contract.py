"""What follows from the cohort by itself, for any data module."""

import pytest
import torch

from pathfuse.cohort import Cohort
from pathfuse.core import ModalitySpec
from pathfuse.data.contract import CaseData
from pathfuse.data.labelled_patches import LabelledPatches
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_patches import PairedPatches
from pathfuse.data.samples import SampleData
from pathfuse.data.slide_thumbnails import SlideThumbnails
from pathfuse.errors import CaseTableError, RecipeError
from pathfuse.registry import DATA
from tests.conftest import write_cases
from tests.data.pairs import write_table


class Numbers(SampleData):
    """A vector of one entry per case: the number in its name."""

    def modality_specs(self):
        return [ModalitySpec("number", "vector", 1)]

    def sample(self, case, draw):
        return {"number": torch.tensor([float(case.case_id[1:])])}


class Alone(Numbers):
    """As its base, for a model with batch normalisation."""

    drops_lone_case = True


def cohort(tmp_path, *parts, labels="ab", **options):
    rows = [f"c{n},p{n},{labels[n % len(labels)]},{part}" for n, part in enumerate(parts)]
    path = write_table(tmp_path / "labels.csv", "case_id,patient_id,label,split", *rows)
    return Cohort(cases=str(path), **{"val_fraction": 0.0, **options})


def made(kind, who, **how):
    data = kind(who)
    data.loading = Loading(**{"batch_size": 2, "num_workers": 0, **how})
    return data


def ids(loader):
    return [case for batch in loader for case in batch.case_ids]


PARTS = ("train", "test", "val", "train", "train", "test", "val", "train", "train")


def test_each_loader_has_its_part_and_only_training_is_shuffled(tmp_path):
    data = made(Numbers, cohort(tmp_path, *PARTS))
    assert sorted(ids(data.train_dataloader())) == ["c0", "c3", "c4", "c7", "c8"]
    assert ids(data.val_dataloader()) == ["c2", "c6"] and ids(data.test_dataloader()) == ["c1", "c5"]
    assert ids(data.predict_dataloader()) == [f"c{n}" for n in range(9)]
    orders = set()
    loader = data.train_dataloader()
    for epoch in range(5):
        loader.sampler.set_epoch(epoch)
        orders.add(tuple(ids(loader)))
    assert len(orders) > 1


def test_the_seed_of_loading_decides_the_order_and_that_of_the_cohort_the_parts(tmp_path):
    who = cohort(tmp_path, *("train",) * 12)
    orders = [ids(made(Numbers, who, seed=seed).train_dataloader()) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    drawn = [
        [row.split for row in Numbers(cohort(tmp_path, *PARTS, split="drawn", seed=seed)).split_table()]
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_cohort_of_another_place_is_tested_as_a_whole_and_cannot_train(tmp_path):
    data = made(Numbers, cohort(tmp_path, *PARTS, test_on="all"))
    assert len(ids(data.test_dataloader())) == 9
    with pytest.raises(CaseTableError, match=r"labels\.csv has no training case"):
        data.train_dataloader()


@pytest.mark.parametrize(("kind", "sizes"), [(Numbers, [2, 2, 1]), (Alone, [2, 2])])
def test_a_last_batch_of_one_is_left_out_where_the_module_says_so(tmp_path, kind, sizes):
    data = made(kind, cohort(tmp_path, *("train",) * 5, *("test",) * 3))
    assert [len(batch) for batch in data.train_dataloader()] == sizes
    assert [len(batch) for batch in data.test_dataloader()] == [2, 1]


def test_a_cohort_of_one_training_case_still_trains(tmp_path):
    assert ids(made(Alone, cohort(tmp_path, "train", "test")).train_dataloader()) == ["c0"]


def test_a_balanced_epoch_is_of_training_alone(tmp_path):
    who = cohort(tmp_path, *("train",) * 8, *("test",) * 4, labels="aaab")
    data = made(Numbers, who, sampler="balanced", batch_size=8)
    (batch,) = data.train_dataloader()
    assert torch.bincount(batch.target).tolist() == [4, 4]
    assert ids(data.test_dataloader()) == ["c8", "c9", "c10", "c11"]


def test_a_balanced_epoch_passes_unlabelled_cases_over(tmp_path):
    data = made(Numbers, cohort(tmp_path, *("train",) * 8, labels=["a", "", "b", ""]), sampler="balanced")
    assert set(ids(data.train_dataloader())) == {"c0", "c2", "c4", "c6"}


def test_the_spec_counts_labelled_training_cases(tmp_path):
    spec = Numbers(cohort(tmp_path, *PARTS, labels=["a", "b", ""])).spec()
    assert spec.classes == ("a", "b") and spec.class_counts == (2, 2)
    assert [(m.name, m.kind, m.width) for m in spec.modalities] == [("number", "vector", 1)]


def test_loading_leaves_the_global_generator_alone(tmp_path):
    data = made(Numbers, cohort(tmp_path, *PARTS))
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    ids(data.train_dataloader())
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("kind", [Numbers, PairedPatches, SlideThumbnails, LabelledPatches], ids=lambda k: k.__name__)
def test_stores_that_a_data_module_does_not_read_are_refused(kind, tmp_path):
    labels = write_table(tmp_path / "l.csv", "case_id,label", "x,0")
    cases = write_cases(tmp_path) if kind is not Numbers else labels
    with pytest.raises(RecipeError, match=f"cohort.stores names features, and {kind.__name__} reads none"):
        kind(Cohort(cases=str(cases), stores={"he": str(tmp_path)}))


def test_every_data_module_takes_the_cohort_first_and_nothing_of_who_or_how():
    import inspect
    from dataclasses import fields

    others = {field.name for kind in (Cohort, Loading) for field in fields(kind)} - {"_read", "_needs_labels"}
    for name in DATA.names():
        kind = DATA.get(name)
        assert issubclass(kind, CaseData)
        first, *options = inspect.signature(kind).parameters.values()
        assert first.name == "cohort"
        assert all(option.kind is option.KEYWORD_ONLY for option in options)
        assert others.isdisjoint(option.name for option in options)


def test_a_position_of_a_batch_is_that_of_the_cohort(tmp_path):
    data = made(Numbers, cohort(tmp_path, *PARTS))
    cases = data.cohort.table.cases
    for batch in data.test_dataloader():
        assert [cases[place].case_id for place in batch.index.tolist()] == list(batch.case_ids)


def test_equal_cohorts_have_equal_fingerprints_whatever_the_place(tmp_path):
    prints = []
    for name, labels in (("a", "ab"), ("b", "ab"), ("c", "ba")):
        (tmp_path / name).mkdir()
        prints.append(Numbers(cohort(tmp_path / name, *PARTS, labels=labels)).fingerprint())
    assert prints[0] == prints[1] != prints[2]
