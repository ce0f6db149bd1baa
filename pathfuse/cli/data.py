"""`pathfuse data check`, `pathfuse data split` and `pathfuse data demo`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pathfuse.cli import splits
from pathfuse.cli.text import print_help
from pathfuse.cli.values import mapping, one_of, whole
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError

Write = Callable[[Callable[[int, int], None]], Path]  # what writes a cohort and tells its progress

HELP = """
check CASES       any source of cases: what a fit would use of it, and every problem at once
  --stores MAP      '{he: FOLDER, ihc: FOLDER}': the features that go with a table of labels
  --label COLUMN    the column of labels, where it has no usual name
  --columns MAP     '{case: ID, patient: MRN, site: Clinic}': what the columns are
  --header none     the table has no header
  --match prefix    a case takes every file that begins like it
  --hash            also the SHA-256 of labels, parts and every byte of the files
  --groups FILE     CSV file,group: the slide or patient behind each file of a folder of pairs
split CASES       cross-validation folds by patient; `pathfuse data split --help` says more
demo DIR          writes the generated cohort
  --layout NAME     cases (pairs of patches in a case table, the default), bci (pairs in HE/ and IHC/ folders),
                    slides (whole slides at 4 um per pixel), bags (feature files) or serial (slides at 1 um per pixel:
                    H&E and IHC of neighbouring sections with the known map between them); the last three with a
                    case table
  --patients N      number of patients (240, serial 12); with bci it is --pairs N (100)
  --size_px N       edge of the images or slides in pixels (cases: 64, bci: 1024, slides: 384,
                    serial: 1536)
  --restained B     with serial: true stains one section twice, with the same cells (false)
  --extra_stains S  with cases: further stains, separated by commas
  --seed N          other patients (0)"""


def data(words: list[str]) -> int:
    """Checks a cohort, or writes the generated one."""
    line = Words.split(words)
    if line.has("help") and "split" in line.positional:
        print(f"usage: pathfuse data split CASES [--folds N] [--out FILE] ...\n{splits.HELP}")
        return 0
    if line.has("help") or not line.positional:
        return print_help("data", HELP)
    verb, *rest = line.positional
    if verb not in VERBS or len(rest) != 1:
        raise RecipeError(f"`pathfuse data {' '.join(line.positional)}` is not understood.")
    line.positional = []
    return VERBS[verb](Path(rest[0]), line)


def check(path: Path, line: Words) -> int:
    """Prints what is there and everything that is wrong; the exit status is 1 if something is."""
    from pathfuse.data.check import check_cases

    groups, stores, columns = line.take("groups"), line.take("stores"), line.take("columns")
    named = {**mapping("columns", columns), **({"label": label} if (label := line.take("label")) else {})}
    header = one_of("header", line.take("header") or "first", ("first", "none"))
    match = one_of("match", line.take("match") or "name", ("name", "prefix"))
    contents = line.take("hash") is not None
    line.finish()
    report = check_cases(
        path,
        groups=Path(groups) if groups else None,
        stores={name: str(folder) for name, folder in mapping("stores", stores).items()},
        columns=named,
        header="none" if header == "none" else "first",
        match="prefix" if match == "prefix" else "name",
        contents=contents,
    )
    for text in report.lines():
        print(text)
    return 0 if report.ok else 1


def demo(folder: Path, line: Words) -> int:
    """Writes the generated cohort in one of its layouts."""
    layout = line.take("layout") or "cases"
    if layout not in LAYOUTS:
        raise RecipeError(f"--layout {layout} is unknown; write {', '.join(LAYOUTS)}.")
    write = LAYOUTS[layout](folder, line, _count(line, "seed", 0))
    line.finish()
    columns = (TextColumn("writing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("writing", total=None)
        written = write(lambda done, total: bar.update(task, completed=done, total=total))
    print(f"{written} written")
    return 0


def _cases(folder: Path, line: Words, seed: int) -> Write:
    from pathfuse.demo import DemoCohort, PatchPictures, write_patches

    patients, size = _count(line, "patients", 240), _count(line, "size_px", 64)
    extra = tuple(filter(None, (line.take("extra_stains") or "").split(",")))
    who = DemoCohort(patients=patients, extra_stains=extra, seed=seed)
    return lambda progress: write_patches(folder, who, PatchPictures(size_px=size), progress)


def _bci(folder: Path, line: Words, seed: int) -> Write:
    from pathfuse.demo import write_bci

    pairs, size = _count(line, "pairs", 100), _count(line, "size_px", 1024)
    return lambda progress: write_bci(folder, pairs, size_px=size, seed=seed, progress=progress)


def _slides(folder: Path, line: Words, seed: int) -> Write:
    from pathfuse.demo import DemoCohort, SlidePictures, write_slides

    who = DemoCohort(patients=_count(line, "patients", 240), seed=seed)
    pictures = SlidePictures(slide_px=_count(line, "size_px", 384))
    return lambda progress: write_slides(folder, who, pictures, progress)


def _bags(folder: Path, line: Words, seed: int) -> Write:
    from pathfuse.demo import BagPictures, DemoCohort, write_bags

    who = DemoCohort(patients=_count(line, "patients", 240), seed=seed)
    return lambda progress: write_bags(folder, who, BagPictures(), progress)


def _serial(folder: Path, line: Words, seed: int) -> Write:
    from pathfuse.demo import DemoCohort, SerialPictures, write_serial

    who = DemoCohort(patients=_count(line, "patients", 12), seed=seed)
    restained = one_of("restained", line.take("restained") or "false", ("true", "false")) == "true"
    pictures = SerialPictures(slide_px=_count(line, "size_px", 1536), restained=restained)
    return lambda progress: write_serial(folder, who, pictures, progress)


VERBS = {"check": check, "split": splits.split, "demo": demo}
LAYOUTS = {"cases": _cases, "bci": _bci, "slides": _slides, "bags": _bags, "serial": _serial}


def _count(line: Words, key: str, default: int) -> int:
    return whole(key, line.take(key) or str(default))
