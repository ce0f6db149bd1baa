"""The proof of the kit: wrong components over all slots, each caught by the check that is meant for it."""

from __future__ import annotations

from collections import Counter

import pytest

from pathfuse.testing import Example, run_checks
from pathfuse.testing.by_slot import BY_SLOT, DECLARATIONS
from tests.testing import test_data_checks, test_kit, test_kit_files, test_metric_checks
from tests.testing.mutants import explainers, networks, registrations

HERE = {**networks.EXACTLY, **explainers.EXACTLY, **registrations.EXACTLY}
WITH_OTHERS = {**networks.WITH_OTHERS, **explainers.WITH_OTHERS, **registrations.WITH_OTHERS}
ALL = {**HERE, **test_kit.EXACTLY, **test_kit_files.EXACTLY, **test_data_checks.EXACTLY, **test_metric_checks.BROKEN}
"""Every mutant to its check; those of the other files run there."""
ELSEWHERE = {"the_name_is_the_class_name", "the_cohort_comes_first"}
"""Checks whose mutants need a registry of their own or cannot be built; test_kit and test_data_checks have them."""

for kind in HERE:  # whoever inherits options describes them as well
    kind.__doc__ = kind.__doc__ or kind.__mro__[1].__doc__


@pytest.mark.parametrize("component", HERE, ids=lambda component: component.__name__)
def test_a_wrong_component_is_caught_by_its_check(component):
    found = {result.name: result.reason for result in run_checks(component) if result.status == "failed"}
    assert HERE[component] in found and set(found) <= {HERE[component], *WITH_OTHERS.get(component, ())}, found
    assert all(found.values())


def test_every_check_catches_somebody_and_every_slot_has_mutants():
    checks = {check.__name__ for own in (*BY_SLOT.values(), DECLARATIONS) for check in own}
    assert checks - ELSEWHERE <= set(ALL.values()), "a check that catches nobody may check nothing"
    slots = Counter(Example(component).slot for component in ALL)
    assert set(slots) == set(BY_SLOT) and len(ALL) >= 30
