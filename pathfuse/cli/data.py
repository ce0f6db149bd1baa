"""`pathfuse data check`, `pathfuse data split` and `pathfuse data demo`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pathfuse.cli import splits
from pathfuse.cli.text import COMMANDS
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError

HELP = """
check CASES       a case table, a folder that holds cases.csv, or a folder of pairs: every problem at once
  --groups FILE     CSV file,group: the slide or patient behind each file of a folder of pairs
split CASES       cross-validation folds by patient; `pathfuse data split --help` says more
demo DIR          writes the generated cohort
  --layout NAME     cases (a case table, the default) or bci (HE/ and IHC/ folders)
  --pairs N         with bci: number of pairs (100)
  --size_px N       edge of the images in pixels (cases: 64, bci: 1024)
  --patients N      with cases: number of patients (240)
  --extra_stains S  with cases: further stains, separated by commas
  --seed N          other patients (0)"""


def data(words: list[str]) -> int:
    """Checks a cohort, or writes the generated one."""
    line = Words.split(words)
    if line.has("help") and "split" in line.positional:
        print(f"usage: pathfuse data split CASES [--folds N] [--out FILE] ...\n{splits.HELP}")
        return 0
    if line.has("help") or not line.positional:
        print(f"usage: {COMMANDS['data'].usage}\n{HELP}")
        return 0
    verb, *rest = line.positional
    if verb not in VERBS or len(rest) != 1:
        raise RecipeError(f"`pathfuse data {' '.join(line.positional)}` is not understood.")
    line.positional = []
    return VERBS[verb](Path(rest[0]), line)


def check(path: Path, line: Words) -> int:
    """Prints what is there and everything that is wrong; the exit status is 1 if something is."""
    from pathfuse.data.check import check_cases

    groups = line.take("groups")
    line.finish()
    report = check_cases(path, groups=Path(groups) if groups else None)
    for text in report.lines():
        print(text)
    return 0 if report.ok else 1


def demo(folder: Path, line: Words) -> int:
    """Writes the generated cohort as a case table with images, or in the layout of BCI."""
    from pathfuse.data.demo import DemoOptions, write_bci, write_cohort

    layout, seed, size = line.take("layout") or "cases", _number(line, "seed", 0), _number(line, "size_px", 0)
    pairs, patients = _number(line, "pairs", 100), _number(line, "patients", 240)
    extra = tuple(filter(None, (line.take("extra_stains") or "").split(",")))
    line.finish()
    if layout not in ("cases", "bci"):
        raise RecipeError(f"--layout {layout} is unknown; write cases or bci.")
    columns = (TextColumn("writing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("writing", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if layout == "bci":
            written = write_bci(folder, pairs, size_px=size or 1024, seed=seed, progress=progress)
        else:
            options = DemoOptions(patients=patients, size_px=size or 64, extra_stains=extra, seed=seed)
            written = write_cohort(folder, options, progress)
    print(f"{written} written")
    return 0


VERBS = {"check": check, "split": splits.split, "demo": demo}


def _number(line: Words, key: str, default: int) -> int:
    value = line.take(key)
    if value is None:
        return default
    if not value.isdecimal():
        raise RecipeError(f"--{key} {value}: expected a whole number.")
    return int(value)
