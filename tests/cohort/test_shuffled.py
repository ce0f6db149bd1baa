"""Pairs taken apart: who gets whose stain, and that everything else stays."""

from dataclasses import replace

import pytest
import torch

from pathfuse.cohort import Cohort
from pathfuse.cohort.shuffled import with_strangers
from pathfuse.cohort.table import CaseTable
from pathfuse.data.loading.options import Loading
from pathfuse.data.paired_bags import PairedBags
from pathfuse.data.paired_patches import PairedPatches
from pathfuse.demo import BagPictures, DemoCohort, PatchPictures
from pathfuse.errors import CaseTableError
from tests.conftest import write_cases

PATCHES = PatchPictures(cases_per_patient=2, size_px=16)


@pytest.fixture
def who(tmp_path):
    return Cohort(demo=DemoCohort(patients=24, labelled_patients=8), cache=str(tmp_path / "cache"))


def of_patches(cohort):
    return cohort.drawn(PATCHES)


def owners(cohort):
    """The patient behind every file of a stain."""
    return {file.path: case.patient_id for case in cohort for file in case.files["ihc"]}


def test_every_case_gets_the_stain_of_another_patient_of_its_part(who):
    plain, mixed = of_patches(who), of_patches(replace(who, shuffled=["ihc"]))
    owner, part = owners(plain), {case.patient_id: case.split for case in plain}
    for before, after in zip(plain, mixed, strict=True):
        giver = owner[after.files["ihc"][0].path]
        assert giver != after.patient_id and part[giver] == after.split
        assert replace(after, files={}) == replace(before, files={}) and after.files["he"] == before.files["he"]
    assert sorted(owners(mixed)) == sorted(owner)  # each is used, and none twice
    assert any("ihc of another patient" in note for note in mixed.notes)


def test_the_same_seed_pairs_the_same_and_another_seed_others(who):
    first, again, other = (of_patches(replace(who, shuffled=["ihc"], seed=seed)) for seed in (1, 1, 2))
    files = [[case.files["ihc"] for case in cohort] for cohort in (first, again, other)]
    assert files[0] == files[1] != files[2]


def test_stages_with_and_without_labels_see_the_same_pairs(who):
    mixed = of_patches(replace(who, shuffled=["ihc"]))
    every = {case.case_id: case.files for case in mixed}
    labelled = mixed.with_labels()
    assert 0 < len(labelled) < len(mixed)
    assert all(case.files == every[case.case_id] for case in labelled)


def test_batches_hold_what_the_table_says(who):
    for kind, options in ((PairedPatches, {"size_px": 16, "normalise": [], "pictures": PATCHES}), (PairedBags, {})):
        own = kind(who, **options)
        data = kind(replace(who, shuffled=["ihc"]), **options)
        for one in (own, data):
            one.loading = Loading(batch_size=len(one.cohort), num_workers=0)
        plain, mixed = (next(iter(one.predict_dataloader())) for one in (own, data))
        assert plain.case_ids == mixed.case_ids and torch.equal(plain.target, mixed.target)
        for stain, same in (("he", True), ("ihc", False)):
            values = [batch.x[stain] for batch in (plain, mixed)]
            tensors = [value if isinstance(value, torch.Tensor) else value.values for value in values]
            assert (tensors[0].shape == tensors[1].shape and torch.equal(*tensors)) == same


def test_a_case_without_the_stain_stays_without(tmp_path):
    demo = DemoCohort(patients=24, missing={"ihc": 0.4})
    who = Cohort(demo=demo, cache=str(tmp_path / "cache"))
    plain, mixed = (replace(who, shuffled=shuffled).drawn(BagPictures()) for shuffled in (None, ["ihc"]))
    assert [bool(case.files.get("ihc")) for case in plain] == [bool(case.files.get("ihc")) for case in mixed]


def test_what_cannot_be_exchanged_is_refused(tmp_path):
    table = write_cases(tmp_path, size_px=8)
    with pytest.raises(CaseTableError, match=r"cohort.shuffled names 'ki67', but cases.csv has he, ihc"):
        len(Cohort(cases=str(table), shuffled=["ki67"]))
    lone = write_cases(tmp_path, patients=7, size_px=8)
    with pytest.raises(CaseTableError, match=r"part test has one patient with ihc"):
        len(Cohort(cases=str(lone), shuffled=["ihc"]))
    cohort = Cohort(cases=str(write_cases(tmp_path, size_px=8)))
    shared = CaseTable(cohort.origin, tuple(replace(case, row=0) for case in cohort), ("he", "ihc"), cohort.class_names)
    with pytest.raises(CaseTableError, match="share one"):
        with_strangers(shared, {case.case_id: case.split for case in cohort}, ["ihc"], 0)


def test_new_cases_keep_their_own_stains(who):
    assert replace(who, shuffled=["ihc"]).of_new_cases(("0", "1+"), {}).shuffled is None
