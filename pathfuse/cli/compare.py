"""`pathfuse compare RUN RUN ...`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from pathfuse.cli.values import number, whole
from pathfuse.cli.words import Words

USAGE = "pathfuse compare RUN RUN ... [--baseline NAME] [--metric NAME ...] [--given STAINS] [--out DIR]"
ABOUT = "paired statistics of runs that were tested on the same patients"
HELP = """
RUN                  a run folder, a folder of the runs of all folds, or STAMP's: patient-preds.csv, split-*/
--baseline NAME      the run that all others are compared with (every pair)
--metric NAME        a metric or several separated by commas, all, or a plug-in's class (balanced_accuracy,auroc)
--given STAINS       what STAMP's features were made of, such as he; its files do not say
--draws N            cohorts of patients for the intervals (10000)
--permutations N     exchanges of the permutation test (10000)
--level X            of the intervals (0.95)
--seed N             same seed, same numbers (0)
--out DIR            where comparison.csv, .md, .html and .json go (comparison)"""


def compare(words: list[str]) -> int:
    """Compares runs and writes the tables."""
    line = Words.split(words)
    if line.has("help") or not words:
        print(f"usage: {USAGE}\n\n{ABOUT}\n{HELP}")
        return 0
    from pathfuse.evaluate.compare.compare import compare_runs
    from pathfuse.evaluate.compare.files import as_table, write_comparison
    from pathfuse.evaluate.compare.findings import CompareOptions
    from pathfuse.evaluate.compare.run import read_runs
    from pathfuse.report.write import write_comparison_report

    metrics = [name for value in line.take_all("metric") for name in value.split(",") if name]
    options = CompareOptions(
        metrics=tuple(metrics),
        baseline=line.take("baseline"),
        draws=whole("draws", line.take("draws") or "10000", 1),
        permutations=whole("permutations", line.take("permutations") or "10000", 1),
        level=number("level", line.take("level") or "0.95", lambda x: 0 < x < 1, "a number between 0 and 1"),
        seed=whole("seed", line.take("seed") or "0"),
    )
    given = line.take("given")
    out, paths = Path(line.take("out") or "comparison"), [Path(word) for word in line.positional]
    line.positional = []
    line.finish()
    runs = read_runs(paths, given=given)
    by_path = {str(path): run.name for path, run in zip(paths, runs, strict=True)}
    baseline = options.baseline and by_path.get(options.baseline, options.baseline)
    comparison = compare_runs(runs, replace(options, baseline=baseline))
    files = [*write_comparison(out, comparison), *write_comparison_report(comparison, out / "comparison.html")]
    console = Console()
    console.print(as_table(comparison))
    for file in files:
        console.print(str(file), highlight=False, soft_wrap=True)
    return 0
