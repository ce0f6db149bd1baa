"""Broken metrics: each fails the check that it breaks, and no other."""

import pytest

from pathfuse.core import Metric
from pathfuse.testing import run_checks


class ShareRight(Metric):
    """Share of right predictions."""

    key = "share_right"

    def measure(self, prob, target, confidence, classes):
        """The share."""
        return float((prob.argmax(1) == target).double().mean())


class Upside(ShareRight):
    """Says that less is better, and means more."""

    higher = False


class Constant(ShareRight):
    """Is pleased with anything."""

    def measure(self, prob, target, confidence, classes):
        """One."""
        return 1.0


class First(ShareRight):
    """Looks at the first half only."""

    def measure(self, prob, target, confidence, classes):
        """Of the first half."""
        half = (len(target) + 1) // 2
        return super().measure(prob[:half], target[:half], confidence, classes)


class CountsUnlabelled(ShareRight):
    """Takes an unknown label for a wrong prediction."""

    def __call__(self, prob, target, confidence=None, classes=()):
        """Without leaving anything out."""
        return self.named(prob, target, confidence, classes)


class Sorts(ShareRight):
    """Sorts the labels in place."""

    def measure(self, prob, target, confidence, classes):
        """The share, and then a mess."""
        value = super().measure(prob, target, confidence, classes)
        target.copy_(target.sort(descending=True).values)
        return value


class Silent(ShareRight):
    """Not defined where a class is absent, and does not say so."""

    def measure(self, prob, target, confidence, classes):
        """The share, where all classes occur."""
        return (
            super().measure(prob, target, confidence, classes) if len(target.unique()) == len(classes) else float("nan")
        )


class Capital(ShareRight):
    """Its name is no name of a column."""

    key = "Share right"


class Tensorial(ShareRight):
    """Gives other names than it says."""

    def names(self, classes):
        """One too many."""
        return (self.key, "another")


BROKEN = {
    Upside: "the_truth_scores_best",
    Constant: "some_errors_cost",
    First: "order_of_cases_does_not_matter",
    CountsUnlabelled: "unlabelled_cases_are_left_out",
    Sorts: "inputs_are_left_alone",
    Silent: "values_are_finite_or_said_to_be_undefined",
    Capital: "the_name_in_files_is_plain",
    Tensorial: "the_name_in_files_is_plain",
}


def failed(kind):
    return {result.name for result in run_checks(kind) if not result.passed}


def test_a_sound_metric_passes():
    assert failed(ShareRight) == set()


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_broken_one_fails_its_check(kind):
    assert failed(kind) == {BROKEN[kind]}


def test_a_metric_may_say_when_it_is_not_defined():
    class Honest(Silent):
        """The same, and says so."""

        undefined = "a class has no case"

    assert failed(Honest) == set()
