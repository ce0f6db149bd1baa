"""`pathfuse data split CASES`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pathfuse.cli.values import number, one_of, whole
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError

if TYPE_CHECKING:
    from pathfuse.cohort.folds.draw import Splits
    from pathfuse.cohort.folds.file import FoldRow
    from pathfuse.cohort.table import Case, CaseTable

HELP = """
split CASES       cross-validation folds by patient, each with its own validation part
  --label COLUMN    the column of labels, where it has no usual name
  --groups FILE     CSV file,group: the slide or patient behind each file of a folder
  --folds N         test folds (5)
  --repeats N       how often the folds are drawn anew (1)
  --group COLUMN    what stays together (patient_id)
  --site COLUMN     test whole sites (preserved-site folds)
  --stratify COLUMN label column that is spread evenly, or none (label)
  --nested N        inner folds per training fold (none)
  --val_fraction X  share of a training fold that is its validation part, at most half (0.2)
  --seed N          other folds (0)
  --from SOURCE     read splits instead: a file of pathfuse, a folder of CLAM, splits.json of STAMP, column[:NAME]
  --val_as test     column val of a CLAM file without a test column is the test part
  --format NAME     write pathfuse, clam, stamp or column (pathfuse)
  --ids NAME        with clam: case or slide ids (case)
  --duplicates N    bits of 64 in which images on two sides may differ to be named, or off (6)
  --out FILE        where the splits go (splits.csv, splits/, splits.json, or CASES with _split at its end)"""

FORMATS = {"pathfuse": "splits.csv", "clam": "splits", "stamp": "splits.json", "column": ""}
MOST_VALIDATION = 0.5
IDS = ("case", "slide")
LISTED = 10  # pairs that are printed; more would bury the folds


def split(path: Path, line: Words) -> int:
    """Draws or converts splits, checks them, writes them and prints their hash."""
    label, groups = line.take("label"), line.take("groups")
    table = _cohort(path, Path(groups) if groups else None, {"label": label} if label else {})
    kind, ids = (
        one_of("format", line.take("format") or "pathfuse", tuple(FORMATS)),
        one_of("ids", line.take("ids") or "case", IDS),
    )
    stratify, duplicates = line.take("stratify") or "label", line.take("duplicates") or "6"
    if duplicates != "off" and not (duplicates.isdecimal() and int(duplicates) <= 15):
        raise RecipeError(f"--duplicates {duplicates}: expected a whole number up to 15, or off.")
    out = Path(line.take("out") or FORMATS[kind] or f"{path.stem}_split.csv")
    if kind == "column" and len(out.parts) == 1:
        out = table.origin.parent / out
    source = line.take("from")
    folds = _read(source, table.cases, line, stratify) if source else _drawn(table.cases, line, stratify)
    line.finish()
    for note in (*table.notes, *folds.notes):
        print(note)
    if duplicates != "off":
        _print_leaks(table.cases, folds.rows, int(duplicates))
    _print_sizes(folds.rows)
    _write(kind, out, folds.rows, table, ids)
    return 0


def _cohort(path: Path, groups: Path | None, named: Mapping[str, str]) -> CaseTable:
    from pathfuse.cohort.sources.case_table import read_cases
    from pathfuse.cohort.sources.columns import Columns
    from pathfuse.cohort.sources.source import TABLE, kind_of, read_source

    columns = Columns(named)
    if kind_of(path, columns=columns) == "case table" and groups is None:
        # Folds are drawn by patient and label; the files may lie elsewhere.
        return read_cases(path / TABLE if path.is_dir() else path, check_files=False, columns=columns)
    kind, table = read_source(path, groups=groups, columns=columns)
    return replace(table, notes=(f"{path} was taken for a {kind}.", *table.notes))


def _drawn(cases: Sequence[Case], line: Words, stratify: str) -> Splits:
    from pathfuse.cohort.folds.draw import draw_folds

    return draw_folds(
        cases,
        folds=whole("folds", line.take("folds") or "5"),
        repeats=whole("repeats", line.take("repeats") or "1"),
        seed=whole("seed", line.take("seed") or "0"),
        val_fraction=_fraction(line),
        group=line.take("group") or "patient_id",
        site=line.take("site"),
        stratify=stratify,
        nested=whole("nested", line.take("nested") or "0"),
    )


def _read(source: str, cases: Sequence[Case], line: Words, stratify: str) -> Splits:
    from pathfuse.cohort.folds.check import check_folds
    from pathfuse.cohort.folds.columns import read_columns
    from pathfuse.cohort.folds.draw import Splits
    from pathfuse.cohort.folds.file import read_folds
    from pathfuse.cohort.folds.formats import read_clam, read_stamp

    fraction, seed, val_as = _fraction(line), whole("seed", line.take("seed") or "0"), line.take("val_as") or ""
    if val_as not in ("", "test"):
        raise RecipeError(f"--val_as {val_as} is unknown; write test.")
    place, (word, _, column) = Path(source), source.partition(":")
    if word == "column":
        found = read_columns(cases, column, stratify=stratify, val_fraction=fraction, seed=seed)
    elif place.is_dir():
        found = read_clam(place, cases, val_as="test" if val_as else "", val_fraction=fraction, seed=seed)
    elif place.suffix == ".json":
        found = read_stamp(place, cases, val_fraction=fraction, seed=seed)
    else:
        found = Splits(tuple(read_folds(place)), ())
    return replace(found, notes=(*check_folds(found.rows, cases, stratify=stratify), *found.notes))


def _write(kind: str, out: Path, rows: Sequence[FoldRow], table: CaseTable, ids: str) -> None:
    from pathfuse.cohort.folds.columns import write_columns
    from pathfuse.cohort.folds.file import folds_sha256, write_folds
    from pathfuse.cohort.folds.formats import write_clam, write_stamp

    if kind == "column" and table.origin.is_dir():
        raise RecipeError(
            f"{table.origin} is a folder, so there is no table to add columns to. Write another --format."
        )
    if kind == "clam":
        files = write_clam(out, rows, table.cases, ids="slide" if ids == "slide" else "case")
    elif kind == "stamp":
        files = write_stamp(out, rows)
    elif kind == "column":
        files = write_columns(out, rows, table.origin)
    else:
        write_folds(out, rows)
        files = [out]
    for file in files:
        print(f"{file} sha256 {folds_sha256(file)}")


def _print_leaks(cases: Sequence[Case], rows: Sequence[FoldRow], distance: int) -> None:
    from pathfuse.cohort.folds.duplicates import across_sides, near_duplicates

    leaks = across_sides(near_duplicates(cases, distance=distance), rows)
    if leaks:
        count = (
            "1 pair of nearly equal images lies"
            if len(leaks) == 1
            else f"{len(leaks)} pairs of nearly equal images lie"
        )
        print(f"WARNING: {count} on two sides of a split:")
        for leak in leaks[:LISTED]:
            print(f"  {leak}")
        if len(leaks) > LISTED:
            print(f"  and {len(leaks) - LISTED} more; give such cases one value in a column and name it with --group")


def _print_sizes(rows: Sequence[FoldRow]) -> None:
    from pathfuse.cohort.folds.check import by_place
    from pathfuse.cohort.folds.file import place_name

    nested = any(row.inner for row in rows)
    for place, own in by_place(rows).items():
        sizes = Counter(row.part for row in own)
        patients = {part: len({row.patient_id for row in own if row.part == part}) for part in sizes}
        parts = ", ".join(f"{part} {sizes[part]} ({patients[part]})" for part in ("train", "val", "test"))
        print(f"{place_name(place, nested)}: {parts} cases (patients)")


def _fraction(line: Words) -> float:
    # A validation part is a fold of the training part, of which there are at least two.
    what = f"a number above 0, at most {MOST_VALIDATION:g}"
    return number("val_fraction", line.take("val_fraction") or "0.2", lambda x: 0 < x <= MOST_VALIDATION, what)
