from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pathfuse.demo import DemoOptions, make_patient

OPTIONS = DemoOptions(patients=200)


def cohort(options):
    return [make_patient(options, index) for index in range(options.patients)]


def test_scores_come_equally_often_in_every_part():
    count = Counter((patient.split, patient.score) for patient in cohort(OPTIONS))
    for split, patients in {"train": 120, "val": 30, "test": 50}.items():
        per_score = [count[split, score] for score in ("0", "1+", "2+", "3+")]
        assert len(set(per_score)) == 1
        assert abs(sum(per_score) - patients) <= 4


@pytest.mark.parametrize("patients", [12, 16, 24])
def test_a_small_cohort_has_every_score_in_every_part(patients):
    pairs = {(patient.split, patient.score) for patient in cohort(replace(OPTIONS, patients=patients))}
    assert len(pairs) == 12


def test_nuclei_grow_with_the_score_and_scores_overlap():
    patients = cohort(OPTIONS)
    level = np.array([patient.level for patient in patients])
    nucleus = np.array([patient.morphology.nucleus_um for patient in patients])
    means = [nucleus[level == one].mean() for one in range(4)]
    assert means == sorted(means)
    assert all(nucleus[level == one].max() > nucleus[level == one + 1].min() for one in range(3))


def test_her2_strength_and_completeness_grow_with_the_score():
    patients = cohort(OPTIONS)
    for name in ("strength", "complete"):
        means = [np.mean([getattr(p.membrane, name) for p in patients if p.level == level]) for level in range(4)]
        assert means == sorted(means)


def test_stain_colours_do_not_depend_on_the_score():
    patients = cohort(OPTIONS)
    level = [patient.level for patient in patients]
    values = np.array([np.r_[p.stainings["he"].vectors.ravel(), p.stainings["he"].strengths] for p in patients])
    assert all(abs(np.corrcoef(level, column)[0, 1]) < 0.25 for column in values.T)
    assert (values.std(axis=0) > 0.005).all()


def test_only_training_patients_lose_their_label():
    patients = cohort(replace(OPTIONS, labelled=0.25))
    assert all(patient.labelled for patient in patients if patient.split != "train")
    train = [patient for patient in patients if patient.split == "train"]
    known = Counter(patient.score for patient in train if patient.labelled)
    assert len(set(known.values())) == 1
    assert abs(sum(known.values()) / len(train) - 0.25) < 0.04


def test_every_patient_is_labelled_by_default():
    assert all(patient.labelled for patient in cohort(OPTIONS))


def test_another_option_or_more_patients_leave_a_patient_as_it_was():
    first = make_patient(OPTIONS, 5)
    for other in (replace(OPTIONS, patients=60), replace(OPTIONS, extra_stains=("er",)), replace(OPTIONS, sites=3)):
        same = make_patient(other, 5)
        assert (same.key, same.level, same.morphology, same.membrane) == (
            first.key,
            first.level,
            first.morphology,
            first.membrane,
        )
    assert make_patient(replace(OPTIONS, seed=1), 5).key != first.key
