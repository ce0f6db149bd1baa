"""Pictures of one case per class: what a stage made of them, or where models looked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pathfuse.charts.pictures import picture_grid
from pathfuse.charts.style import svg
from pathfuse.explain.overlay import parts_of
from pathfuse.runs.files import PANELS
from pathfuse.runs.folder import RunFolder
from pathfuse.study.drawing.naming import called, named
from pathfuse.study.drawing.paired import ByVariant
from pathfuse.study.file import Study, Variant
from pathfuse.study.report_file import FigureSpec
from pathfuse.study.tables import csv_text
from pathfuse.system.files import write_text

Pixels = NDArray[np.uint8]
EDGE_PX = 128  # every picture is a bitmap inside the drawing
MAPS = "explain"


def write_panels(
    folder: Path, spec: FigureSpec, study: Study, variants: Sequence[Variant], by_variant: ByVariant
) -> list[Path]:
    """`panels:STAGE`: a chart per variant, from its first run. `explain`: one chart, a column per variant."""
    if spec.value == MAPS:
        return _maps(folder, spec, study, variants, by_variant)
    stage = spec.value.partition(":")[2]
    files: list[Path] = []
    for variant in variants:
        run = by_variant[variant.name][0].folder
        rows = run.lines(f"{PANELS}/{stage}.csv")
        kinds = [kind for kind in (rows[0] if rows else {}) if kind not in ("target", "case_id")]
        grid = [[_read(run.path / PANELS / stage, row[kind]) for kind in kinds] for row in rows]
        if any(picture is not None for own in grid for picture in own):
            title = f"{spec.title}: {called(study, variant)}"
            cases = [(row["target"], row["case_id"]) for row in rows]
            files += _write(
                folder, f"{spec.name}_{variant.name}", spec, title, cases, [named(study, kind) for kind in kinds], grid
            )
    return files


def _maps(
    folder: Path, spec: FigureSpec, study: Study, variants: Sequence[Variant], by_variant: ByVariant
) -> list[Path]:
    """The cases that the first run of the first variant explained: the image, then the map of every variant."""
    found = {called(study, v): _explained(by_variant[v.name][0].folder) for v in variants}
    cases = sorted((target, case) for case, (target, _) in next(iter(found.values()), {}).items())
    grid: list[list[Pixels | None]] = []
    for _, case in cases:
        pictures = [None if case not in own else _whole(own[case][1]) for own in found.values()]
        parts = [None if picture is None else parts_of(picture) for picture in pictures]
        image = next((part[0] for part in parts if part is not None), None)
        grid.append([_small(own) for own in (image, *(None if part is None else part[1] for part in parts))])
    if not any(picture is not None for row in grid for picture in row):
        return []
    return _write(folder, spec.name, spec, spec.title, cases, ["image", *found], grid)


def _explained(run: RunFolder) -> dict[str, tuple[str, Path]]:
    """By case, its class and its picture, from the latest `explain.json`."""
    files = sorted(run.path.glob("*/explain.json"))
    if not files:
        return {}
    content = run.json(files[-1].relative_to(run.path).as_posix())
    return {
        entry["case_id"]: (str(entry.get("target") or ""), files[-1].parent / Path(name).name)
        for entry in content.get("cases", [])
        for name in list(entry.get("pictures", {}).values())[:1]
    }


def _read(folder: Path, name: str) -> Pixels | None:
    # Only names, no paths: a folder may come from a stranger.
    return _small(_whole(folder / Path(name or ".").name))


def _whole(path: Path) -> Pixels | None:
    if not path.is_file():
        return None
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _small(pixels: Pixels | None) -> Pixels | None:
    if pixels is None:
        return None
    image = Image.fromarray(pixels)
    image.thumbnail((EDGE_PX, EDGE_PX), Image.Resampling.BOX)
    return np.asarray(image)


def _write(
    folder: Path,
    name: str,
    spec: FigureSpec,
    title: str,
    cases: Sequence[tuple[str, str]],
    columns: Sequence[str],
    grid: Sequence[Sequence[Pixels | None]],
) -> list[Path]:
    drawn = picture_grid([target for target, _ in cases], columns, grid)
    text = f"A test case per class: {', '.join(case for _, case in cases)}. {spec.note}".strip()
    write_text(folder / f"{name}.svg", svg(drawn, title, text))
    write_text(folder / f"{name}.csv", csv_text([["target", "case_id"], *map(list, cases)]))
    return [folder / f"{name}.svg", folder / f"{name}.csv"]
