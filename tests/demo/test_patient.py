from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pathfuse.demo import SCORES, DemoCohort, make_patient

WHO = DemoCohort(patients=200)


def cohort(who):
    return [make_patient(who, index) for index in range(who.patients)]


def test_scores_come_equally_often_in_every_part():
    count = Counter((patient.split, patient.score) for patient in cohort(WHO))
    for split, patients in {"train": 120, "val": 30, "test": 50}.items():
        per_score = [count[split, score] for score in ("0", "1+", "2+", "3+")]
        assert len(set(per_score)) == 1
        assert abs(sum(per_score) - patients) <= 4


@pytest.mark.parametrize("patients", [12, 16, 24])
def test_a_small_cohort_has_every_score_in_every_part(patients):
    pairs = {(patient.split, patient.score) for patient in cohort(replace(WHO, patients=patients))}
    assert len(pairs) == 12


def test_nuclei_grow_with_the_score_and_scores_overlap():
    patients = cohort(WHO)
    level = np.array([patient.level for patient in patients])
    nucleus = np.array([patient.morphology.nucleus_um for patient in patients])
    means = [nucleus[level == one].mean() for one in range(4)]
    assert means == sorted(means)
    assert all(nucleus[level == one].max() > nucleus[level == one + 1].min() for one in range(3))


def test_her2_strength_and_completeness_grow_with_the_score():
    patients = cohort(WHO)
    for name in ("strength", "complete"):
        means = [np.mean([getattr(p.membrane, name) for p in patients if p.level == level]) for level in range(4)]
        assert means == sorted(means)


def test_stain_colours_do_not_depend_on_the_score():
    patients = cohort(WHO)
    level = [patient.level for patient in patients]
    values = np.array([np.r_[p.stainings["he"].vectors.ravel(), p.stainings["he"].strengths] for p in patients])
    assert all(abs(np.corrcoef(level, column)[0, 1]) < 0.25 for column in values.T)
    assert (values.std(axis=0) > 0.005).all()


@pytest.mark.parametrize("labelled", [0, 1, 5, 30, 118, 500])
def test_only_training_patients_lose_their_label_and_the_scores_keep_theirs_equally(labelled):
    patients = cohort(replace(WHO, labelled_patients=labelled))
    assert all(patient.labelled for patient in patients if patient.split != "train")
    train = [patient for patient in patients if patient.split == "train"]
    known = Counter(patient.score for patient in train if patient.labelled)
    counts = [known[score] for score in SCORES]
    assert sum(counts) == min(labelled, len(train))
    assert max(counts) - min(counts) <= 1


def test_more_labels_keep_those_that_there_were():
    few, many = (cohort(replace(WHO, labelled_patients=count)) for count in (20, 60))
    labelled = [{patient.patient_id for patient in patients if patient.labelled} for patients in (few, many)]
    assert labelled[0] < labelled[1]


def test_a_lost_label_changes_nothing_else_of_a_patient():
    for one, other in zip(cohort(WHO), cohort(replace(WHO, labelled_patients=0)), strict=True):
        assert (one.key, one.level, one.split, one.site) == (other.key, other.level, other.split, other.site)


def test_every_patient_is_labelled_by_default():
    assert all(patient.labelled for patient in cohort(WHO))


def test_another_option_or_more_patients_leave_a_patient_as_it_was():
    first = make_patient(WHO, 5)
    for other in (replace(WHO, patients=60), replace(WHO, extra_stains=("er",)), replace(WHO, sites=3)):
        same = make_patient(other, 5)
        assert (same.key, same.level, same.morphology, same.membrane) == (
            first.key,
            first.level,
            first.morphology,
            first.membrane,
        )
    assert make_patient(replace(WHO, seed=1), 5).key != first.key
