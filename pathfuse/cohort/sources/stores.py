"""Cases of a label table with the feature files of their slides, from a folder per stain."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pathfuse.cohort.labels import class_order, unknown_label
from pathfuse.cohort.sources.columns import USUAL_COLUMNS, Columns
from pathfuse.cohort.sources.label_tables import Labelled, read_labels
from pathfuse.cohort.table import Case, CaseFile, CaseTable
from pathfuse.errors import CaseTableError, RecipeError, listed
from pathfuse.store.folder import Match, SlideFiles, find_files, near_miss
from pathfuse.store.read import suffixes
from pathfuse.system.left_out import left_out

OTHER_FEATURES = frozenset({".npz", ".pkl", ".pickle", ".csv", ".parquet", ".zarr", ".mat", ".feather", ".zip"})


def read_unpaired(
    folders: Mapping[str, Path],
    labels: Mapping[str, str],
    *,
    columns: Columns,
    match: Match,
    classes: Sequence[str] | None,
    keep: Collection[str],
    mpp: float | None,
) -> CaseTable:
    """Cohorts that have one stain each. Their cases get the stain's name in front: 17 of one is not 17 of another."""
    lost = [modality for modality in folders if modality not in labels]
    if lost:
        raise RecipeError(
            f"cohort.cases names no label table for {lost[0]}. Name one for every stain of cohort.stores."
        )
    tables = {
        m: read_stores({m: folder}, Path(labels[m]), columns=columns, match=match, classes=classes, keep=keep, mpp=mpp)
        for m, folder in folders.items()
    }
    cases = tuple(
        replace(case, case_id=f"{m}-{case.case_id}", patient_id=f"{m}-{case.patient_id}")
        for m, table in tables.items()
        for case in table.cases
    )
    known = tuple(classes) if classes else class_order(case.label for case in cases)
    notes = tuple(note for table in tables.values() for note in table.notes)
    return CaseTable(next(iter(tables.values())).origin, cases, tuple(folders), known, notes)


def read_stores(
    folders: Mapping[str, Path],
    labels: Path,
    *,
    columns: Columns = USUAL_COLUMNS,
    match: Match = "name",
    classes: Sequence[str] | None = None,
    keep: Collection[str] = (),
    mpp: float | None = None,
) -> CaseTable:
    """The cases of a label table with the feature files of their slides; a case without any file is left out.

    A slide is looked up by the names the table gives it, or else by the name of the case, in the folder of each stain:
    as `<name>`, or as `<name>_<STAIN>` with or without `_train`, `_val`, `_test`; see `SlideFiles.get`. Only with
    `match: prefix` does a case take the files whose names begin like it.

    Args:
        folders: per stain, the folder of its feature files.
        labels: the table; see `read_labels`.
        columns: what its columns are, where they have no usual names.
        match: how the names of the table meet those of the files.
        classes: class names; None derives them.
        keep: further labels that stay as they are written.
        mpp: micrometres per level-0 pixel of all slides, where the files do not say.

    Raises:
        CaseTableError: if the table is wrong, or no case has a file.
        StoreError: if a folder has no feature file.
    """
    if not folders:
        raise RecipeError("cohort.stores is empty; name a folder for each stain.")
    found = {modality: find_files(folder) for modality, folder in folders.items()}
    rows, notes = read_labels(labels, columns=columns, stains=list(folders), keep=(*(classes or ()), *keep))
    known = tuple(classes) if classes else class_order(row.label for row in rows)
    cases: list[Case] = []
    lost: list[str] = []
    for row in rows:
        if row.label and row.label not in known:
            raise CaseTableError(f"{labels.name} line {row.line}: {unknown_label(row.label, known)}")
        files = {
            m: tuple(CaseFile(path, row.spacings.get(name, mpp)) for path, name in paths.items())
            for m, paths in _files_of(row, found, lost, match).items()
        }
        cases.append(Case(row.case_id, row.patient_id, row.label, row.split, row.site, files, row.more))
    near = near_miss(lost, [name for folder in found.values() for name in folder.names])
    if not any(case.files for case in cases):
        raise CaseTableError(
            f"{labels.name}: no case has a file in {', '.join(map(str, folders.values()))}. {near} Name the slides in "
            "a column slide_id, or take files that begin like a case with --cohort.match prefix."
        )
    for modality, folder in folders.items():
        if not any(case.files.get(modality) for case in cases):
            named = [name for row in rows for name in row.own_slides.get(modality, ()) or row.slides or [row.case_id]]
            raise CaseTableError(
                f"{labels.name}: no case has a file in {folder}, the store of {modality}. "
                f"{near_miss(named, found[modality].names)} Name its slides in a column {modality}, or in rows with "
                "slide and stain, or leave the store out."
            )
    if lost:
        notes.append(f"{len(lost)} slides of {labels.name} have no features: {listed(lost)}. {near}")
    notes += _unused(found, cases)
    # Pictures and tables lie beside features in every tool's folders; what may have been meant as features is said.
    notes += [note for folder in folders.values() if (note := _not_features(folder))]
    return CaseTable(labels, tuple(cases), tuple(folders), known, tuple(notes))


def with_features(table: CaseTable, folders: Mapping[str, Path]) -> CaseTable:
    """The cases of a table of slides with the feature files that are named after the slides, or after the case.

    Args:
        table: the cases; their files are slides.
        folders: per stain, the folder of its feature files; other stains keep none.

    Raises:
        CaseTableError: if no slide has a feature file.
        StoreError: if a folder has no feature file.
    """
    found = {modality: find_files(folder) for modality, folder in folders.items()}
    lost: list[str] = []

    def features(case: Case, modality: str) -> tuple[CaseFile, ...]:
        files = []
        for slide in case.files.get(modality, ()):
            # Of SLIDE.ome.tif some tools leave the name with .ome, and `pathfuse extract` without.
            names = (slide.path.stem, slide.path.stem.removesuffix(".ome"), case.case_id)
            paths = next((own for name in names if (own := found[modality].get(name, modality))), ())
            files += [CaseFile(path, slide.mpp) for path in paths]
            lost.extend([] if paths else [f"{slide.path.name} ({modality})"])
        return tuple(dict.fromkeys(files))

    cases = [replace(case, files={m: own for m in folders if (own := features(case, m))}) for case in table.cases]
    if not any(case.files for case in cases):
        raise CaseTableError(
            f"{table.origin.name}: no slide has a file in {', '.join(map(str, folders.values()))}, first "
            f"{lost[0] if lost else table.cases[0].case_id}. Feature files are named after their slides."
        )
    notes = (f"{len(lost)} slides of {table.origin.name} have no features: {listed(lost)}.",) if lost else ()
    return replace(table, cases=tuple(cases), notes=(*table.notes, *notes))


def _not_features(folder: Path) -> str:
    files = [path for path in folder.iterdir() if path.suffix.lower() in OTHER_FEATURES]
    return left_out(folder, suffixes(), files)


def _unused(found: Mapping[str, SlideFiles], cases: Sequence[Case]) -> list[str]:
    """A line per stain on files that no case took."""
    used = {file.path for case in cases for files in case.files.values() for file in files}
    left = {m: [path.name for path in folder.paths if path not in used] for m, folder in found.items()}
    return [f"{len(names)} {m} files belong to no case: {listed(names)}." for m, names in left.items() if names]


def _files_of(
    row: Labelled, found: Mapping[str, SlideFiles], lost: list[str], match: Match
) -> dict[str, dict[Path, str]]:
    """Per stain, the files of a case by the name they were found by; what no folder holds is added to `lost`."""
    files: dict[str, dict[Path, str]] = {}
    seen: set[str] = set()
    shared = row.slides or ([] if row.own_slides else [row.case_id])
    names = {modality: [*row.own_slides.get(modality, ()), *shared] for modality in found}
    for modality, folder in found.items():
        if row.stains and not row.stains.get(modality, False):
            continue
        for name in names[modality]:
            paths = [path for path in folder.get(name, modality, match=match) if path not in files.get(modality, ())]
            if paths:
                files.setdefault(modality, {}).update(dict.fromkeys(paths, name))
                seen.add(name)
            elif row.stains or row.own_slides:
                lost.append(f"{name} ({modality})")
    if not (row.stains or row.own_slides):
        lost += [name for name in row.slides or [row.case_id] if name not in seen]
    return files
