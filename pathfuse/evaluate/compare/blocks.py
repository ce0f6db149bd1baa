"""Blocks of a comparison: which runs are compared on which cases, per subset of stains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pathfuse.errors import RunError
from pathfuse.evaluate.compare.pairing import on_shared_cases
from pathfuse.evaluate.compare.run import ComparedRun
from pathfuse.evaluate.compare.scored import Scored

AS_TRAINED = "as trained"
"""Name of the subset in which every run is given the stains that it was trained with, where runs differ in that."""


@dataclass(frozen=True)
class Block:
    """Runs that were tested on the same cases.

    Attributes:
        subset: what they were given, for tables.
        scored: the cases of each run.
        given: where runs were given different stains, what each was given.
    """

    subset: str
    scored: Mapping[str, Scored]
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def any(self) -> Scored:
        """The cases of one of the runs, whose ids, patients and labels are those of all."""
        return next(iter(self.scored.values()))

    def stands_elsewhere(self, one: str, other: str) -> bool:
        """Whether two runs were given the same here, so that the block of that subset compares them already."""
        return bool(self.given) and self.given[one] == self.given[other]


def blocks_of(runs: Sequence[ComparedRun], *, all_subsets: bool = False) -> tuple[list[Block], list[str]]:
    """A block per subset of stains and, where the runs differ in it, one of what each was trained with; and notes.

    Args:
        runs: the runs.
        all_subsets: compare also from stains that a run was never trained to be given.

    Raises:
        RunError: if no two runs were tested on the same cases, or they contradict each other about a case.
    """
    blocks, notes = [], []
    known = {run.name: run.subsets if all_subsets else run.shown.trained(run.subsets) for run in runs}
    for subset in dict.fromkeys(name for own in known.values() for name in own):
        having = {run.name: run.scored(subset) for run in runs if subset in known[run.name]}
        shared, said = on_shared_cases(subset, having)
        notes += said
        if shared:
            blocks.append(Block(subset, shared))
        if len(having) < len(runs):
            lack = [run.name for run in runs if run.name not in having]
            notes.append(f"{subset}: no test predictions of {', '.join(lack)}.")
    notes += _as_trained(runs, blocks)
    if any(len(run.folds) > 1 for run in runs):
        notes.append(
            "The cases of all folds are pooled. A ranking metric then sets scores of different fold models against "
            "each other; the signed-rank test takes every fold by itself."
        )
    if any(_repeated(scored) for block in blocks for scored in block.scored.values()):
        notes.append(
            "The folds were drawn several times, so a patient is in several of them: the p of the signed-rank test is "
            "too small. The permutation test counts every patient once."
        )
    if not any(len(block.scored) > 1 for block in blocks):
        raise RunError(
            f"The runs have no test cases in common: {' '.join(notes)} Test them on one cohort with the same stains."
        )
    return blocks, notes


def _as_trained(runs: Sequence[ComparedRun], blocks: list[Block]) -> list[str]:
    """Adds the block of what each run was trained with, where the runs differ in it; returns notes."""
    own = {run.name: run.shown.fullest(run.subsets) for run in runs}
    if len(set(own.values())) < 2:
        return []
    given = ", ".join(f"{name}: {subset}" for name, subset in own.items())
    shared, said = on_shared_cases(AS_TRAINED, {run.name: run.scored(own[run.name]) for run in runs})
    if not shared:
        return [f"What each run was trained with ({given}) is not compared: {said[0]}"]
    blocks.append(Block(AS_TRAINED, shared, own))
    return [*said, f"{AS_TRAINED}: each run is given the stains that it was trained with ({given})."]


def _repeated(scored: Scored) -> bool:
    """Whether different folds share cases."""
    sizes = {fold.name: len(fold.rows) for fold in scored.folds}
    return sum(sizes.values()) > len(scored.case_ids)


def refuse_too_little(block: Block, classes: Sequence[str]) -> None:
    """Checks that there is anything to compare by.

    Raises:
        RunError: for a single patient or a single class.
    """
    patients, labels = set(block.any.patient_ids), np.unique(block.any.target)
    if len(patients) < 2:
        raise RunError(
            f"{block.subset}: the only test patient is {block.any.patient_ids[0]}. Intervals and tests are drawn over "
            "patients; test on more of them."
        )
    if len(labels) < 2:
        raise RunError(
            f"{block.subset}: all {len(block.any.target)} test cases are {classes[labels[0]]}. Test on two classes "
            "or more."
        )
