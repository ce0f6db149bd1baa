"""Each small broken data module fails exactly the check that it breaks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pathfuse.cohort import Cohort
from pathfuse.core import ModalitySpec
from pathfuse.data.samples import SampleData
from pathfuse.testing import Example, run_checks


class Sound(SampleData):
    """A vector and, for most cases, cells of each case; training adds noise to the vector.

    Args:
        cohort: the cases.
    """

    def __init__(self, cohort):
        super().__init__(cohort)

    @staticmethod
    def example_cohort(folder):
        """Labels in a table, some of them unknown, and two cases of each patient."""
        rows = [
            f"c{n},p{n // 2},{['a', 'b', ''][n % 3]},{('train', 'test', 'val', 'train')[n % 8 // 2]}" for n in range(32)
        ]
        table = folder / "labels.csv"
        table.write_text("\n".join(["case_id,patient_id,label,split", *rows]) + "\n")
        return Cohort(cases=str(table), classes=["a", "b"])

    def modality_specs(self):
        return [ModalitySpec("rna", "vector", 3), ModalitySpec("cells", "features", 2)]

    def sample(self, case, draw):
        number = float(case.case_id[1:])
        values = torch.full((3,), number)
        if draw.part == "train":
            values = values + torch.from_numpy(draw.random.normal(size=3)).float()
        return {"rna": values, **({"cells": torch.full((2, 2), number)} if number % 5 else {})}


class OfABatch(Sound):
    """What it does to a batch."""

    def dataset(self, index, part):
        return Changed(super().dataset(index, part), self.change)


class Changed(torch.utils.data.Dataset):
    """Another data set, each batch of it changed."""

    def __init__(self, data, change):
        self.data, self.change = data, change

    def __len__(self):
        return len(self.data)

    def __getitems__(self, wanted):
        return self.change(self.data.__getitems__(wanted))


class NamesItWho(Sound):
    def __init__(self, who):
        super().__init__(who)


class AnnouncesAnotherWidth(OfABatch):
    def change(self, batch):
        return replace(batch, x={**batch.x, "rna": batch.x["rna"][:, :2]})


class ForgetsAModality(OfABatch):
    def change(self, batch):
        return replace(batch, x={"rna": batch.x["rna"]}, present={"rna": batch.present["rna"]})


class SaysAllIsThere(OfABatch):
    def change(self, batch):
        return replace(batch, present={name: torch.ones_like(there) for name, there in batch.present.items()})


class LeavesHoles(OfABatch):
    def change(self, batch):
        return replace(batch, x={**batch.x, "rna": torch.full_like(batch.x["rna"], float("nan"))})


class TurnsTheOrder(Sound):
    def sampler(self, data, index, part):
        sampler = super().sampler(data, index, part)
        if part != "train":
            sampler.order = lambda epoch, count: np.arange(count)[::-1].copy()
        return sampler


class GivesCasesTwice(Sound):
    def sampler(self, data, index, part):
        sampler = super().sampler(data, index, part)
        if part == "test":
            sampler.order = lambda epoch, count: np.arange(count) // 2
        return sampler


class MixesUpPatients(OfABatch):
    def change(self, batch):
        return replace(batch, patient_ids=batch.case_ids)


class InventsLabels(OfABatch):
    def change(self, batch):
        return replace(batch, target=batch.target.clamp(min=0))


class ThrowsDice(OfABatch):
    def change(self, batch):
        noise = torch.from_numpy(np.random.default_rng().normal(size=batch.x["rna"].shape)).float()
        return replace(batch, x={**batch.x, "rna": batch.x["rna"] + noise})


class AsksTheWorker(OfABatch):
    def change(self, batch):
        shift = 0 if torch.utils.data.get_worker_info() is None else 1
        return replace(batch, x={**batch.x, "rna": batch.x["rna"] + shift})


class HasItsOwnParts(Sound):
    def __init__(self, cohort):
        cases = [replace(case, split=("train", "val", "test")[int(case.case_id[1:]) % 3]) for case in cohort]
        super().__init__(cohort.replaced(replace(cohort.table, cases=tuple(cases))))
        self.cohort.__dict__["table"] = self.cohort.unparted


class BringsCasesBack(Sound):
    def __init__(self, cohort):
        super().__init__(replace(cohort))


class ChangesTheCohort(Sound):
    def __init__(self, cohort):
        if "c" not in cohort.classes:
            cohort.classes.append("c")
        super().__init__(cohort)


EXACTLY = {
    AnnouncesAnotherWidth: "batches_hold_what_spec_says",
    ForgetsAModality: "batches_hold_what_spec_says",
    SaysAllIsThere: "absent_modalities_are_masked",
    LeavesHoles: "absent_modalities_are_masked",
    TurnsTheOrder: "every_case_comes_once_in_table_order",
    GivesCasesTwice: "every_case_comes_once_in_table_order",
    MixesUpPatients: "targets_and_ids_are_those_of_the_cohort",
    InventsLabels: "targets_and_ids_are_those_of_the_cohort",
    ThrowsDice: "the_same_epoch_repeats",
    AsksTheWorker: "the_number_of_workers_changes_nothing",
    HasItsOwnParts: "parts_follow_the_cohort",
    BringsCasesBack: "a_restricted_cohort_leaves_cases_out",
    ChangesTheCohort: "the_cohort_is_left_alone",
}
WITH_OTHERS = {
    ThrowsDice: {"the_number_of_workers_changes_nothing"},
    LeavesHoles: {"the_same_epoch_repeats", "the_number_of_workers_changes_nothing"},
    GivesCasesTwice: {"parts_follow_the_cohort"},
}
"""What cannot be broken alone."""

for kind in EXACTLY:  # whoever inherits options describes them as well
    kind.__doc__ = Sound.__doc__


def failures(component):
    return {result.name: result.reason for result in run_checks(component) if not result.passed}


def test_a_sound_module_passes():
    assert failures(Sound) == {}


def test_a_cohort_may_be_given_by_the_example(tmp_path):
    assert failures(Example(Sound, cohort=Sound.example_cohort(tmp_path))) == {}


@pytest.mark.parametrize("component", EXACTLY, ids=lambda component: component.__name__)
def test_a_broken_module_fails_exactly_its_check(component):
    found = failures(component)
    assert EXACTLY[component] in found and set(found) <= {EXACTLY[component], *WITH_OTHERS.get(component, ())}, found
    assert all(found.values())


def test_a_wrong_shape_is_said_with_what_the_spec_says():
    reason = failures(AnnouncesAnotherWidth)["batches_hold_what_spec_says"]
    assert reason == "rna in a train batch is (3, 2), and spec() says (3, 3)"


def test_a_constructor_that_takes_no_cohort_is_said():
    assert failures(NamesItWho)["the_cohort_comes_first"] == (
        "the constructor takes who first, not cohort: make it (cohort, *, ...)"
    )
