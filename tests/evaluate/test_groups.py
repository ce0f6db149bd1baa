"""A planted gap between sites is found, and none where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from pathfuse.evaluate.groups import cells_of, group_sentence, group_values
from pathfuse.runs.rows import Rows

CLASSES = ("0", "1+", "2+", "3+")


def cohort(seed, *, gap=0.0, per_patient=1, patients=90, skew=False):
    """Three sites; at site C the model knows less by `gap`. With `skew` site C has mostly cases of one label."""
    rng = np.random.default_rng(seed)
    site = np.array(list("ABC"))[np.arange(patients) % 3].repeat(per_patient)
    target = rng.integers(0, 4, patients).repeat(per_patient)
    if skew:
        target = np.where((site == "C") & (rng.random(patients).repeat(per_patient) < 0.7), 3, target)
    skill = np.where(site == "C", 2.0 - gap, 2.0)[:, None]
    # What a patient has in common moves all its cases at once.
    noise = rng.normal(size=(patients, 4)).repeat(per_patient, axis=0) + 0.3 * rng.normal(size=(len(site), 4))
    logits = skill * np.eye(4)[target] + noise
    prob = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    rows = Rows(prob, prob.argmax(1), target, prob.max(1))
    return [rows], [f"p{number:03d}" for number in range(patients) for _ in range(per_patient)], site.tolist()


def found(*args, **options):
    return group_values(*cohort(*args, **options), CLASSES, draws=50, permutations=199)


@pytest.mark.parametrize("per_patient", [1, 3])
def test_a_planted_gap_is_found_and_named(per_patient):
    values = {(one.metric, one.group): one for one in found(1, gap=2.0, per_patient=per_patient)}
    worst = values["balanced_accuracy", "C"]
    assert worst.p_holm < 0.05 and worst.gap < 0 and worst.gap_low < worst.gap < worst.gap_high < 0
    assert worst.value < values["balanced_accuracy", "A"].value and worst.n_patients == 30
    assert values["auroc", "C"].p_holm < 0.05
    said = group_sentence(list(values.values()), "site")
    assert said.startswith("site C: balanced accuracy is 0.") and "lower than elsewhere" in said


@pytest.mark.parametrize("options", [{}, {"per_patient": 3}, {"skew": True}], ids=["plain", "several cases", "labels"])
def test_where_there_is_no_gap_none_is_found_more_often_than_it_may(options):
    """Of 60 cohorts without a gap, so many have one of three sites below 5 % as the error rate allows."""
    hits = 0
    for seed in range(60):
        values = group_values(*cohort(seed, **options), CLASSES, metrics=("accuracy",), draws=2, permutations=99)
        hits += min(one.p_holm for one in values) < 0.05
    assert hits <= binom.ppf(0.999, 60, 0.05)


def test_values_are_those_of_the_cases_of_a_group_alone():
    (rows,), patients, sites = cohort(3)
    values = {one.group: one for one in group_values([rows], patients, sites, CLASSES, metrics=("accuracy",))}
    for site, one in values.items():
        here = np.array(sites) == site
        assert one.value == pytest.approx((rows.predicted == rows.target)[here].mean())
        assert one.gap == pytest.approx(one.value - (rows.predicted == rows.target)[~here].mean())
        assert one.low <= one.value <= one.high and one.n_cases == here.sum()


def test_one_group_has_nothing_to_differ_from_and_cases_without_a_group_do_not_count():
    passes, patients, sites = cohort(4)
    assert group_values(passes, patients, ["A"] * len(sites), CLASSES) == []
    blank = ["" if site == "C" else site for site in sites]
    assert [one.n_cases for one in group_values(passes, patients, blank, CLASSES, metrics=("accuracy",))] == [30, 30]
    assert cells_of([{"case_id": "a", "site": "X"}], "site", ["a", "b"]) == ["X", ""]
    assert "No site differs" in group_sentence(found(5), "site")
