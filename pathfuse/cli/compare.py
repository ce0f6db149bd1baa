"""`pathfuse compare RUN RUN ...`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from pathfuse.cli.text import print_help
from pathfuse.cli.values import number, whole
from pathfuse.cli.words import Words

HELP = """
RUN                  a run folder, a folder of the runs of all folds, of a study, or STAMP's: patient-preds.csv,
                     split-*/; one run alone is compared with itself, given one stain and several
--baseline NAME      the run, or of one run the stains, that all others are compared with (every pair)
--metric NAME        a metric or several separated by commas, all, or a plug-in's class (balanced_accuracy,auroc)
--given STAINS       what STAMP's features were made of, such as he; its files do not say
--draws N            cohorts of patients for the intervals (10000)
--permutations N     exchanges of the permutation test (10000)
--level X            of the intervals (0.95)
--seed N             same seed, same numbers (0)
--all-subsets        compare also from stains that a run was never trained to be given
--out DIR            where report.html and comparison.csv, .md and .json go (comparison)"""


def compare(words: list[str]) -> int:
    """Compares runs and writes the tables."""
    line = Words.split(words)
    if line.has("help") or not words:
        return print_help("compare", HELP)
    from pathfuse.evaluate.compare.files import as_table
    from pathfuse.report.comparing import compare as compared
    from pathfuse.report.comparing import write

    out, runs = Path(line.take("out") or "comparison"), line.positional
    given, baseline = line.take("given"), line.take("baseline")
    metrics = [name for value in line.take_all("metric") for name in value.split(",") if name]
    draws = whole("draws", line.take("draws") or "10000", 1)
    permutations = whole("permutations", line.take("permutations") or "10000", 1)
    level = number("level", line.take("level") or "0.95", lambda x: 0 < x < 1, "a number between 0 and 1")
    seed, all_subsets = whole("seed", line.take("seed") or "0"), line.take("all-subsets") is not None
    line.positional = []
    line.finish()
    comparison = compared(
        *runs,
        baseline=baseline,
        metrics=metrics,
        given=given,
        draws=draws,
        permutations=permutations,
        level=level,
        seed=seed,
        all_subsets=all_subsets,
    )
    files = write(comparison, out)
    console = Console()
    console.print(as_table(comparison))
    for file in files:
        console.print(str(file), highlight=False, soft_wrap=True)
    return 0
