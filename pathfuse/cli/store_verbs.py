"""The verbs of `pathfuse store`; imported when one runs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from pathfuse.cli.values import existing, number
from pathfuse.cli.words import Words
from pathfuse.errors import PathfuseError, RecipeError, StoreError
from pathfuse.store import SlideFeatures, WrittenSlide, open_slide, read_contents
from pathfuse.store.check import Finding, check_cohort, check_slide
from pathfuse.store.convert import writer, writers
from pathfuse.store.folder import find_files
from pathfuse.store.repack import repack as repack_file

if TYPE_CHECKING:
    from pathfuse.cohort.table import Case

MPP_TOLERANCE = 0.02
WIDE = 10_000  # a line per file, whatever its name: a terminal breaks long lines itself, a file needs none broken


def inspect(line: Words) -> int:
    """What each file is."""
    files = _files(line.positional)
    line.positional = []
    line.finish()
    names = ("file", "format", "patches", "width", "type", "layout", "coords", "patch", "mpp", "encoder")
    table = Table(*names, box=None, pad_edge=False)
    failed = 0
    for path in files:
        try:
            slide = open_slide(path)
        except StoreError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
            continue
        coords = "px" if slide.coords_level0_px is not None else "µm" if slide.coords_um is not None else "none"
        size = slide.patch_size_level0 or slide.patch_size_um
        unit = "px" if slide.patch_size_level0 else "µm"
        rows = slide.features
        table.add_row(
            path.name,
            slide.source_format,
            str(rows.shape[0]),
            str(rows.shape[1]),
            rows.dtype.lstrip("<|="),
            _layout(path),
            coords,
            "?" if size is None else f"{size:g} {unit}",
            "?" if slide.mpp is None else f"{slide.mpp:g}",
            slide.encoder or "?",
        )
    Console(width=WIDE).print(table)
    return 1 if failed else 0


def check(line: Words) -> int:
    """Findings of the doctor, and how many files were looked at."""
    labels = line.take("labels_table")
    words, line.positional = line.positional, []
    line.finish()
    if not words:
        raise RecipeError("Name a case table, or STAIN=FOLDER for every stain.")
    slides, findings = _cohort(words, labels)
    for several in slides.values():
        for slide in several:
            findings += check_slide(slide)
    findings += check_cohort(slides)
    for text in grouped(findings):
        print(text)
    errors = sum(finding.level == "error" for finding in findings)
    count = sum(map(len, slides.values()))
    print(f"{count} files read: {errors} errors, {len(findings) - errors} warnings")
    return 1 if errors else 0


def grouped(findings: Sequence[Finding]) -> list[str]:
    """A line per finding; equal ones of several files are one line with their number and the first of them."""
    places: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        places.setdefault((finding.level, finding.text), []).append(finding.where)
    return [
        f"{level}: {where[0]}: {text}" if len(where) == 1 else f"{level}: {len(where)} files, first {where[0]}: {text}"
        for (level, text), where in places.items()
    ]


def repack(line: Words) -> int:
    """Contiguous copies; a file that fails does not stop the others."""
    out, overwrite = line.take("out"), line.take("overwrite") is not None
    words, line.positional = line.positional, []
    line.finish()
    if (out is None) == (not overwrite):
        raise RecipeError("Say where the copies go with --out DIR, or replace the files with --overwrite.")
    failed = done = 0
    for start in existing(words):
        for path in _files([str(start)]):
            if out is None:
                target = path
            else:
                target = Path(out) / (path.relative_to(start) if start.is_dir() else path.name)
            try:
                if read_contents(path).kind != "hdf5":
                    print(f"{path} is no HDF5 file and reads fast as it is")
                    continue
                if out is not None and target.exists():
                    raise StoreError(f"{target} exists already. Choose another folder.")
                done += repack_file(path, target)
            except PathfuseError as error:
                failed += 1
                print(f"error: {error}", file=sys.stderr)
    print(f"{done} files repacked, {failed} failed")
    return 1 if failed else 0


def convert(line: Words) -> int:
    """The slides in another format; a slide that fails does not stop the others."""
    to, out, cases, overwrite = (
        line.take("to"),
        line.take("out"),
        line.take("cases"),
        line.take("overwrite") is not None,
    )
    mpp, size = (_positive(key, line.take(key)) for key in ("mpp", "patch_size_level0"))
    files = _files(line.positional)
    line.positional = []
    line.finish()
    if to is None or out is None:
        raise RecipeError(f"Give --to {'|'.join(writers())} and --out DIR.")
    store = writer(to)
    if store.needs_cases and cases is None:
        raise RecipeError(f"a folder of {to} holds target and split of every slide. Name them with --cases CASES.csv.")
    _refuse_filled(Path(out), overwrite)
    written: dict[Path, Path] = {}
    taken: dict[str, Path] = {}
    failed = 0
    for path in files:
        try:
            slide = open_slide(path, mpp=mpp, patch_size_level0=size)
            other = taken.setdefault(slide.slide_id, path)
            if other != path:
                raise StoreError(f"{other} and {path} are both slide {slide.slide_id}. Convert them into two folders.")
            written[path.resolve()] = store.write(slide, Path(out))
        except PathfuseError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
    if store.needs_cases and cases is not None:
        store.write_table(Path(out), _written(Path(cases), written))
    print(f"{len(written)} slides written to {out}, {failed} failed")
    return 1 if failed else 0


def _files(words: Sequence[str]) -> list[Path]:
    found: list[Path] = []
    for path in existing(list(words)):
        if path.is_dir():
            found += find_files(path).paths
        else:
            found.append(path)
    return found


def _layout(path: Path) -> str:
    contents = read_contents(path)
    array = next(
        (contents.arrays[key] for key in ("features", "feats", "patch_embeddings", "") if key in contents.arrays), None
    )
    if array is None:
        return "?"
    return (
        "contiguous"
        if array.contiguous
        else "list"
        if contents.listed
        else f"chunks {'x'.join(map(str, array.chunks or ()))}"
    )


def _refuse_filled(out: Path, overwrite: bool) -> None:
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise StoreError(f"{out} is not empty. Choose another folder, or replace what is in it with --overwrite.")


def _written(cases: Path, written: dict[Path, Path]) -> list[WrittenSlide]:
    """What a case table says about the slides that were written."""
    from pathfuse.cohort.sources.case_table import read_cases

    table = read_cases(cases)
    rows = []
    for case in table.cases:
        for files in case.files.values():
            for file in files:
                target = written.get(file.path.resolve())
                if target is None:
                    continue
                if not case.label or not case.split:
                    raise StoreError(f"{cases.name}: case {case.case_id} has no label or no split, which is needed.")
                rows.append(WrittenSlide(file.path, target, table.classes.index(case.label), case.split))
    if len(rows) < len(written):
        raise StoreError(f"{cases.name} names {len(rows)} of {len(written)} converted files. Add the others.")
    return rows


def _cohort(words: Sequence[str], labels: str | None) -> tuple[dict[str, list[SlideFeatures]], list[Finding]]:
    """The slides of every stain that can be opened, and a finding for each that cannot."""
    from pathfuse.cohort.sources.case_table import scan_cases
    from pathfuse.cohort.sources.stores import read_stores

    findings: list[Finding] = []
    folders = _folders(words)
    if folders and labels is not None:
        found = read_stores(folders, Path(labels))
        findings += [Finding("error", labels, note) for note in found.notes if "no features" in note]
        return _open(found.cases, findings), findings
    if folders:
        rows = [(modality, path, None) for modality, folder in folders.items() for path in find_files(folder).paths]
        return _open_paths(rows, findings), findings
    if len(words) != 1 or labels is not None:
        raise RecipeError("Name one case table, or STAIN=FOLDER for every stain and --labels_table CSV.")
    table, problems = scan_cases(Path(words[0]))
    findings += [Finding("error", words[0], problem) for problem in problems]
    return _open(table.cases, findings), findings


def _folders(words: Sequence[str]) -> dict[str, Path]:
    """Folders by stain, or by their own names; nothing if none of the words is one."""
    named: list[tuple[str, Path]] = []
    for word in words:
        stain, equals, folder = word.partition("=")
        if Path(word).is_dir():
            named.append((Path(word).resolve().name, Path(word)))
        elif equals and not Path(word).exists():
            named.append((stain, Path(folder)))
    if len(dict(named)) < len(named) or 0 < len(named) < len(words):
        raise RecipeError("Name one case table, or STAIN=FOLDER for every stain, each stain once.")
    return dict(named)


def _open(cases: Iterable[Case], findings: list[Finding]) -> dict[str, list[SlideFeatures]]:
    paths = [(m, file.path, file.mpp) for case in cases for m, files in case.files.items() for file in files]
    return _open_paths([row for row in paths if row[1].exists()], findings)


def _open_paths(
    paths: Iterable[tuple[str, Path, float | None]], findings: list[Finding]
) -> dict[str, list[SlideFeatures]]:
    slides: dict[str, list[SlideFeatures]] = {}
    for modality, path, mpp in paths:
        try:
            slide = open_slide(path, mpp=mpp)
        except StoreError as error:
            findings.append(Finding("error", str(path), str(error).removeprefix(f"{path} ").removeprefix(f"{path}: ")))
            continue
        slides.setdefault(modality, []).append(slide)
        if mpp is not None and slide.mpp is not None and abs(slide.mpp / mpp - 1) > MPP_TOLERANCE:
            text = f"the table says mpp {mpp:g}, the file {slide.mpp:g}, which is used"
            findings.append(Finding("error", str(path), text))
    return slides


def _positive(key: str, value: str | None) -> float | None:
    return None if value is None else number(key, value, lambda x: x > 0, "a number above 0")
