"""Sources of a cohort: what a path is taken for, and the cases that it holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pathfuse.cohort.labels import class_order
from pathfuse.cohort.sources.case_rows import KEYS, LONG
from pathfuse.cohort.sources.case_table import read_cases
from pathfuse.cohort.sources.class_folders import PART_NAMES, read_class_folders
from pathfuse.cohort.sources.columns import USUAL_COLUMNS, Columns
from pathfuse.cohort.sources.file_cells import file_columns
from pathfuse.cohort.sources.files import plain_files, read_files
from pathfuse.cohort.sources.label_tables import read_labels
from pathfuse.cohort.sources.named_table import read_named_table
from pathfuse.cohort.sources.pairs import SUFFIXES, read_folder, split_name, stain_folders
from pathfuse.cohort.sources.patch_camelyon import holds_hdf5, read_hdf5
from pathfuse.cohort.sources.stores import read_stores
from pathfuse.cohort.table import Case, CaseFile, CaseTable
from pathfuse.errors import CaseTableError
from pathfuse.store.folder import Match

Kind = Literal[
    "case table", "label table", "folder of pairs", "folder of classes", "PatchCamelyon folder", "folder of files"
]

TABLE = "cases.csv"


def kind_of(
    path: Path,
    modalities: Sequence[str] | None = None,
    *,
    columns: Columns = USUAL_COLUMNS,
    stores: Collection[str] = (),
) -> Kind:
    """What a path is taken for, by what it holds.

    A folder with `cases.csv` is that case table. A folder with a sub-folder called HE, IHC or a stain that is wanted,
    or whose sub-folders share names that end in the part and the score, is one of pairs: equal numbers alone do not
    make one, for classes are often numbered from 0 each. With `..._x.h5` it is PatchCamelyon's; one without
    sub-folders holds files that are a case each; any other is one of classes. A table with columns `modality` and
    `path`, or with `case_id`, `patient_id` and columns of paths, is a case table; any other is one of labels, and so is
    one beside stores whose cells are no files.

    Args:
        path: file or folder.
        modalities: stains that are wanted; None where nobody says.
        columns: what the columns of a table are, where they have no usual names.
        stores: stains whose feature files lie in folders that somebody named.

    Raises:
        CaseTableError: if it does not exist or cannot be read.
    """
    if path.is_dir():
        if (path / TABLE).is_file():
            return "case table"
        if (path / "register.html").is_file():
            raise CaseTableError(
                f"{path} holds registrations of slides. Cut its pairs with `pathfuse pairs {path} --out PAIRS`, and "
                "give that folder."
            )
        return _kind_of_folder(path, {"he", "ihc", *(name.lower() for name in modalities or ())})
    if not path.exists():
        raise CaseTableError(f"{path} does not exist. Name a case table, a label table or a folder of images.")
    table = read_named_table(path, columns, stains=(*stores, *(modalities or ())))
    if set(LONG) <= set(table.header):
        return "case table"
    if not set(KEYS) <= set(table.header) or "slide_id" in table.header:
        return "label table"
    files = file_columns(table.header, table.rows)
    # Beside stores, a cell of a stain that is no file here names a slide.
    if stores and not any(_is_file(path.parent, row[name]) for _, row in table.rows for name in files):
        return "label table"
    return "case table" if files else "label table"


def read_source(
    path: Path,
    *,
    modalities: Sequence[str] | None = None,
    stores: Mapping[str, str] | None = None,
    groups: Path | None = None,
    columns: Columns = USUAL_COLUMNS,
    match: Match = "name",
    classes: Sequence[str] | None = None,
    keep: Collection[str] = (),
    mpp: float | None = None,
) -> tuple[Kind, CaseTable]:
    """What a path was taken for, and its cases; labels may be unknown and stains may lack.

    Args:
        path: file or folder.
        modalities: stains that are wanted; None takes all.
        stores: per stain, the folder of feature files that go with a label table.
        groups: CSV `file,group` for folders of images.
        columns: what the columns of a table are, where they have no usual names.
        match: how the names of a label table meet those of the feature files.
        classes: class names; None derives them.
        keep: further labels that stay as they are written.
        mpp: micrometres per pixel where the source does not say.

    Raises:
        CaseTableError: if the source is wrong in itself.
    """
    path = path.absolute()  # `.` has no name to show
    kind = kind_of(path, modalities, columns=columns, stores=tuple(stores or ()))
    if groups is not None and kind in ("case table", "label table"):
        raise CaseTableError(f"{groups} is not read beside {path.name}: its patient_id says what belongs together.")
    if kind == "case table":
        table = path / TABLE if path.is_dir() else path
        return kind, _with_mpp(
            read_cases(table, modalities=modalities, classes=classes, columns=columns, keep=keep), mpp
        )
    if kind == "label table":
        wanted = {m: Path(folder) for m, folder in (stores or {}).items() if modalities is None or m in modalities}
        if not wanted:
            return kind, _labelled(path, columns, classes, keep)
        return kind, read_stores(wanted, path, columns=columns, match=match, classes=classes, keep=keep, mpp=mpp)
    if kind == "PatchCamelyon folder":
        if groups is not None:
            raise CaseTableError(f"{groups} is for image files; of HDF5 the slides are in ..._meta.csv. Remove it.")
        return kind, read_hdf5(path, modality=_only(modalities), classes=classes, mpp=mpp)
    if kind == "folder of files":
        return kind, read_files(path, modality=_only(modalities), mpp=mpp)
    if kind == "folder of classes":
        return kind, read_class_folders(path, modality=_only(modalities), classes=classes, groups=groups, mpp=mpp)
    stains = tuple(modalities or stain_folders(path))
    found = read_folder(path, modalities=stains, groups=groups, classes=classes, missing="allow", mpp=mpp)
    return kind, found


def _labelled(path: Path, columns: Columns, classes: Sequence[str] | None, keep: Collection[str]) -> CaseTable:
    rows, notes = read_labels(path, columns=columns, keep=(*(classes or ()), *keep))
    cases = tuple(Case(row.case_id, row.patient_id, row.label, row.split, row.site, labels=row.more) for row in rows)
    return CaseTable(path, cases, (), tuple(classes or class_order(case.label for case in cases)), tuple(notes))


def _kind_of_folder(path: Path, stains: Collection[str]) -> Kind:
    if holds_hdf5(path):
        return "PatchCamelyon folder"
    try:
        folders = [entry for entry in sorted(path.iterdir()) if entry.is_dir()]
    except OSError as error:
        raise CaseTableError(f"{path} cannot be read ({error.strerror}). Give an existing folder.") from error
    if any(folder.name.lower() in stains for folder in folders):
        return "folder of pairs"
    if not folders and plain_files(path):
        return "folder of files"
    if not folders or any(folder.name.lower() in PART_NAMES for folder in folders):
        return "folder of classes"
    images = [{file.stem for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES} for folder in folders]
    scored = [{stem for stem in stems if split_name(stem)[1]} for stems in images]
    shared = sum(map(len, scored)) > len(set().union(*scored))
    return "folder of pairs" if shared else "folder of classes"


def _is_file(folder: Path, cell: str) -> bool:
    try:
        return any((folder / part.strip()).is_file() for part in cell.split(";") if part.strip())
    except OSError:  # a cell too long for a file name
        return False


def _only(modalities: Sequence[str] | None) -> str:
    """The stain of images that come without one."""
    return modalities[0] if modalities else "he"


def _with_mpp(table: CaseTable, mpp: float | None) -> CaseTable:
    if mpp is None:
        return table

    def known(files: tuple[CaseFile, ...]) -> tuple[CaseFile, ...]:
        return tuple(file if file.mpp else replace(file, mpp=mpp) for file in files)

    cases = (replace(case, files={m: known(own) for m, own in case.files.items()}) for case in table.cases)
    return replace(table, cases=tuple(cases))
