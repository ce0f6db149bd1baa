"""Names of variants, values of axes and metrics where people read."""

from __future__ import annotations

from collections.abc import Sequence

from pathfuse.evaluate.names import metric_name
from pathfuse.study.definition.study import Study, Variant


def named(study: Study, word: str) -> str:
    """The name that the study gives a word, or the word."""
    return study.report.names.get(word, word)


def measured(study: Study, key: str) -> str:
    """What a metric is called: by the study, whole or without what it is taken from, or else in the usual words."""
    names = study.report.names
    return names.get(key) or names.get(key.rpartition(":")[2]) or metric_name(key)


def called(study: Study, variant: Variant, *, without: Sequence[str] = ()) -> str:
    """What a variant is called: its own name, or those of its values on the axes.

    Args:
        study: gives the names.
        variant: the variant.
        without: axes that are said elsewhere, as the heading of a panel.
    """
    if not without and variant.name in study.report.names:
        return study.report.names[variant.name]
    values = [named(study, value) for axis, value in variant.axes.items() if axis not in without]
    return ", ".join(values) if values else named(study, variant.name)
