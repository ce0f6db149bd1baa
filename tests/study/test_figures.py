from pathlib import Path

import pytest

from pathfuse.runs.folder import RunFolder
from pathfuse.study.definition.report import FigureSpec
from pathfuse.study.definition.study import Variant
from pathfuse.study.drawing.figures import paired_test
from pathfuse.study.jobs import Job
from pathfuse.study.scores import RunScores


def runs_of(variant: str, values: dict[tuple[int, int], float]) -> list[RunScores]:
    """A finished run per seed and fold, with its MCC."""
    return [
        RunScores(
            Job(variant, seed, 0, fold, (), (), (), Path(variant), ""), RunFolder(Path(variant)), {"he": {"mcc": value}}
        )
        for (seed, fold), value in values.items()
    ]


def test_the_test_of_a_figure_counts_folds_and_not_seeds() -> None:
    variants = [Variant(name, ("he_only",), axes={"attention": name}) for name in ("se", "plain")]
    places = [(seed, fold) for seed in (1, 2) for fold in range(5)]
    with_attention = {(seed, fold): 0.1 * fold + 0.2 * seed for seed, fold in places}
    # In one seed of a fold it is the other way round, on average it is not.
    without = {place: value - (0.3 if place[0] == 1 else -0.1) for place, value in with_attention.items()}
    by_variant = {"se": runs_of("se", with_attention), "plain": runs_of("plain", without)}
    spec = FigureSpec("mcc", "bars", value="mcc", by="attention")
    ((name, test),) = paired_test(spec, variants, by_variant)
    assert (name, test.folds, test.p) == ("se - plain", 5, pytest.approx(2 / 2**5))
    # A seed that only one of them has been trained with is left out.
    by_variant["plain"] = [run for run in by_variant["plain"] if run.job.seed == 1]
    ((_, alone),) = paired_test(spec, variants, by_variant)
    assert (alone.folds, alone.rank_biserial) == (5, 1)
