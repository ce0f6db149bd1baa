"""Looks at a cohort before training: everything that is wrong, and what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pathfuse.cohort import Cohort
from pathfuse.cohort.folds.near_notes import near_notes
from pathfuse.cohort.labelled import no_classes
from pathfuse.cohort.sources.case_table import scan_cases
from pathfuse.cohort.sources.columns import Columns, Header
from pathfuse.cohort.sources.pairs import SUFFIXES, scan_folder, stain_folders
from pathfuse.cohort.sources.source import TABLE, kind_of
from pathfuse.cohort.table import PARTS, Case, CaseTable
from pathfuse.data.fit_facts import fit_facts
from pathfuse.data.images.decode import check_same_size, decode
from pathfuse.errors import ImageError, PathfuseError
from pathfuse.store.folder import Match
from pathfuse.system.progress import available_cores, progress_bar


@dataclass(frozen=True)
class CheckReport:
    """What `pathfuse data check` shows.

    Attributes:
        origin: the file or folder.
        problems: one line for everything that is wrong.
        notes: what is not wrong but should be known.
        cases: number of cases.
        patients: number of patients.
        classes: per class (empty: no label), cases in each part (empty: no part).
        modalities: cases that have a stain.
        subsets: cases by the stains they have, for example `he+ihc`.
        facts: what a fit would use, and the first cases as they were understood.
    """

    origin: Path
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    cases: int
    patients: int
    classes: dict[str, dict[str, int]]
    modalities: dict[str, int]
    subsets: dict[str, int]
    facts: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the cohort can be used as it is."""
        return not self.problems

    def lines(self) -> list[str]:
        """The report as plain text, problems last."""
        parts = [part for part in (*PARTS, "") if any(row.get(part) for row in self.classes.values())]
        rows = [
            f"label {label or 'unknown'}: "
            + ", ".join(f"{row[part]} {part or 'without a part'}" for part in parts if row.get(part))
            for label, row in self.classes.items()
        ]
        stains = [f"{name}: {count} cases" for name, count in self.modalities.items()]
        subsets = [
            f"only {name}: {count}" if "+" not in name else f"{name}: {count}" for name, count in self.subsets.items()
        ]
        head = f"{self.origin}: {self.cases} cases of {self.patients} patients"
        verdict = f"{len(self.problems)} problems:" if self.problems else "No problems."
        by_stain = [*stains, "by availability: " + ", ".join(subsets)]
        return [head, *rows, *by_stain, *self.facts, *self.notes, verdict, *self.problems]


def check_cases(
    path: Path | str,
    *,
    modalities: Sequence[str] | None = None,
    groups: Path | None = None,
    classes: Sequence[str] | None = None,
    images: bool = True,
    threads: int | None = None,
    stores: Mapping[str, str] | None = None,
    columns: Mapping[str, str | int] | None = None,
    header: Header = "first",
    match: Match = "name",
    contents: bool = False,
) -> CheckReport:
    """Checks any source of cases, and goes on after every problem of a case table or a folder of pairs.

    Args:
        path: the table or folder.
        modalities: stains to look at; None looks at all.
        groups: CSV `file,group` for a folder of pairs.
        classes: class names; None derives them.
        images: also decode every image and compare the sizes of partners.
        threads: images decoded at a time; None is one per core.
        stores: per stain, the folder of feature files beside a label table.
        columns: what the columns of a table are; see `Cohort`.
        header: `none` for a table without header.
        match: `prefix` lets a case take files that begin like it.
        contents: also say the SHA-256 of every byte of the files, where nothing is wrong.

    Raises:
        CaseTableError: if the source cannot be read at all.
    """
    who = Cohort(
        cases=str(path),
        stores=dict(stores) if stores else None,
        groups=str(groups) if groups else None,
        columns=dict(columns or {}),
        header=header,
        match=match,
        classes=list(classes) if classes else None,
    )
    table, problems = _scan(who, modalities)
    if images:
        problems = [*problems, *_unusable(table.cases, threads or available_cores())]
    by_class: dict[str, dict[str, int]] = {}
    for case in table.cases:
        row = by_class.setdefault(case.label, {})
        row[case.split] = row.get(case.split, 0) + 1
    facts, unopened, notes = _as_fitted(who, table, problems, images)
    problems = [*problems, *unopened]
    if contents and not problems:
        facts = [*facts, f"contents of labels, parts and files (SHA-256): {who.table.content_fingerprint()}"]
    order = [name for name in (*table.classes, *sorted(by_class)) if name in by_class]
    subsets = Counter("+".join(m for m in table.modalities if case.files.get(m)) or "nothing" for case in table.cases)
    return CheckReport(
        table.origin,
        tuple(problems),
        tuple(dict.fromkeys((*table.notes, *notes))),
        len(table.cases),
        len({case.patient_id for case in table.cases}),
        {name: by_class[name] for name in dict.fromkeys(order)},
        {m: sum(bool(case.files.get(m)) for case in table.cases) for m in table.modalities},
        dict(sorted(subsets.items())),
        tuple(facts),
    )


def _scan(who: Cohort, modalities: Sequence[str] | None) -> tuple[CaseTable, list[str]]:
    path, columns = Path(str(who.cases)), Columns(who.columns or {}, who.header)
    groups = Path(who.groups) if who.groups else None
    kind = kind_of(path, modalities, columns=columns, stores=tuple(who.stores or ()))
    if kind == "case table":
        table = path / TABLE if path.is_dir() else path
        return scan_cases(table, modalities=modalities, classes=who.classes, columns=columns)
    if kind == "folder of pairs":
        return scan_folder(path, modalities=modalities or stain_folders(path), groups=groups, classes=who.classes)
    return who.unparted, []


def _as_fitted(
    who: Cohort, table: CaseTable, problems: Sequence[str], images: bool
) -> tuple[list[str], list[str], tuple[str, ...]]:
    """What a fit would use, problems that only it meets, and its notes; of a source with problems, what can be said."""
    try:
        fitted = table if problems else who.table
    except PathfuseError as error:
        return [*fit_facts(table)[0]], [str(error)], ()
    facts, unopened = fit_facts(fitted)
    near = near_notes(fitted.cases, who.cache_folder) if images and not problems else []
    doubt = no_classes(fitted)
    return facts, [] if problems else unopened, (*fitted.notes, *([f"WARNING: {doubt}."] if doubt else []), *near)


def _unusable(cases: Sequence[Case], threads: int) -> Iterator[str]:
    with ThreadPoolExecutor(threads) as pool, progress_bar() as bar:
        for problems in bar.track(pool.map(_look_at, cases), total=len(cases), description="Decoding images"):
            yield from problems


def _look_at(case: Case) -> list[str]:
    """What is wrong with the images of a case; slides and feature files are left to those who read them."""
    paths = [file.path for files in case.files.values() for file in files if file.path.suffix.lower() in SUFFIXES]
    problems = [problem for path in paths if path.exists() for problem in _decodes(path)]
    if not problems and all(path.exists() for path in paths) and all(len(files) == 1 for files in case.files.values()):
        try:
            check_same_size(paths)
        except ImageError as error:
            problems.append(str(error))
    return problems


def _decodes(path: Path) -> list[str]:
    try:
        decode(path)
    except ImageError as error:
        return [str(error)]
    return []
