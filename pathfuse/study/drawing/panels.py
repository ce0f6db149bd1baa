"""Pictures of one case per class: what a stage made of them, or where models looked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pathfuse.charts.pictures import picture_grid
from pathfuse.charts.style import svg
from pathfuse.explain.overlay import read_parts
from pathfuse.runs.files import EXPLANATION, PANELS
from pathfuse.runs.folder import RunFolder
from pathfuse.study.definition.explain import MAPS
from pathfuse.study.definition.report import FigureSpec
from pathfuse.study.definition.study import Study, Variant
from pathfuse.study.drawing.naming import called, named
from pathfuse.study.drawing.paired import ByVariant
from pathfuse.study.tables import csv_text
from pathfuse.system.files import write_text

Pixels = NDArray[np.uint8]
EDGE_PX = 128  # every picture is a bitmap inside the drawing
HEAT_MAP_PX = 384  # has a scale and words beside it


def write_panels(
    folder: Path, spec: FigureSpec, study: Study, variants: Sequence[Variant], by_variant: ByVariant
) -> list[Path]:
    """`panels:STAGE`: a chart per variant, from its first run. `explain`: maps, a column per variant.

    With `per` maps have a chart for every value of that axis.
    """
    if spec.value.partition(":")[0] == MAPS:
        groups: dict[str, list[Variant]] = {}
        for variant in variants:
            groups.setdefault(variant.axes.get(spec.per, "") if spec.per else "", []).append(variant)
        return [path for key, own in groups.items() for path in _maps(folder, spec, study, key, own, by_variant)]
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
    folder: Path, spec: FigureSpec, study: Study, key: str, variants: Sequence[Variant], by_variant: ByVariant
) -> list[Path]:
    """The cases that the first run of the first variant explained: the image, then the map of every variant.

    Under every map stands the class that it explains. Heat maps of bags are pictures of their own, without an image
    beside them.
    """
    explainer, without = spec.value.partition(":")[2], (spec.per,) if spec.per else ()
    found = {called(study, v, without=without): _explained(by_variant[v.name][0].folder, explainer) for v in variants}
    cases = sorted((one.target, case) for case, one in next(iter(found.values()), {}).items())
    images: list[Pixels | None] = []
    grid: list[list[Pixels | None]] = []
    said: list[list[str]] = []
    for _, case in cases:
        parts = [_parts(own.get(case)) for own in found.values()]
        said.append([own[case].said if case in own else "" for own in found.values()])
        images.append(next((image for image, _ in parts if image is not None), None))
        grid.append([shown for _, shown in parts])
    if not any(picture is not None for row in grid for picture in row):
        return []
    columns = list(found)
    if any(image is not None for image in images):
        columns, grid = ["image", *columns], [[image, *row] for image, row in zip(images, grid, strict=True)]
        said = [["", *row] for row in said]
    name, title = (f"{spec.name}_{key}", f"{spec.title}: {named(study, key)}") if key else (spec.name, spec.title)
    return _write(folder, name, spec, title, cases, columns, grid, said)


class _Explained(NamedTuple):
    """The class of a case, what is explained, its picture, and whether that has the image on its left."""

    target: str
    said: str
    path: Path
    beside_image: bool


def _parts(one: _Explained | None) -> tuple[Pixels | None, Pixels | None]:
    """The image, where it is shown, and the map."""
    if one is None or not one.path.is_file():
        return None, None
    if not one.beside_image:
        return None, _small(_whole(one.path), HEAT_MAP_PX)
    image, shown = read_parts(one.path)
    return _small(image), _small(shown)


def _explained(run: RunFolder, explainer: str) -> dict[str, _Explained]:
    """What an explainer, or the first one, has a picture of in the first stain, by case; of a bag its first slide."""
    found = {}
    for entry in run.sealed_json(EXPLANATION).get("cases", []):
        pictures = entry.get("pictures", {})
        for name, own in [pair for pair in pictures.items() if pair[0] == explainer or not explainer][:1]:
            for names in list(own.values())[:1]:
                file = names if isinstance(names, str) else names[0]
                # Only names, no paths: a folder may come from a stranger.
                path = (run.path / EXPLANATION).parent / Path(name).name / Path(file).name
                target, said = str(entry.get("target") or ""), str(entry.get("explained") or "")
                found[str(entry["case_id"])] = _Explained(target, said, path, isinstance(names, str))
    return found


def _read(folder: Path, name: str) -> Pixels | None:
    # Only names, no paths: a folder may come from a stranger.
    return _small(_whole(folder / Path(name or ".").name))


def _whole(path: Path) -> Pixels | None:
    if not path.is_file():
        return None
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _small(pixels: Pixels | None, edge: int = EDGE_PX) -> Pixels | None:
    if pixels is None:
        return None
    image = Image.fromarray(pixels)
    image.thumbnail((edge, edge), Image.Resampling.BOX)
    return np.asarray(image)


def _write(
    folder: Path,
    name: str,
    spec: FigureSpec,
    title: str,
    cases: Sequence[tuple[str, str]],
    columns: Sequence[str],
    grid: Sequence[Sequence[Pixels | None]],
    said: Sequence[Sequence[str]] = (),
) -> list[Path]:
    drawn = picture_grid([target for target, _ in cases], columns, grid, said)
    text = f"A test case per class: {', '.join(case for _, case in cases)}. {spec.note}".strip()
    write_text(folder / f"{name}.svg", svg(drawn, title, text))
    lines = [[*case, *own] for case, own in zip(cases, said or [()] * len(cases), strict=True)]
    write_text(folder / f"{name}.csv", csv_text([["target", "case_id", *(columns if said else ())], *lines]))
    return [folder / f"{name}.svg", folder / f"{name}.csv"]
