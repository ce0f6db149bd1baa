"""The subset of modalities that stands for a model where one number has to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def as_trained(subsets: Iterable[str], given: Sequence[str] | None = None) -> str:
    """The subset with most modalities among those that the model was trained to be given.

    A model that learned from H&E alone is tested with every other combination too, but what it says then is no
    prediction that anybody trained.

    Args:
        subsets: names such as `he` or `he+ihc`, at least one.
        given: the modalities that the model was given in training; None where it was given all.
    """
    names = list(subsets)
    trained = [name for name in names if given is None or set(name.split("+")) <= set(given)]
    return max(trained or names, key=lambda name: name.count("+"))
