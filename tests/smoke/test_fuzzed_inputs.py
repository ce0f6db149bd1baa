"""Two thousand damaged inputs, through every parser: each is read, or refused in one line."""

from __future__ import annotations

import io
import json
import random
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from pathfuse.cohort.folds.file import read_folds
from pathfuse.cohort.sources.case_table import scan_cases
from pathfuse.cohort.sources.label_tables import read_labels
from pathfuse.cohort.vectors import read_vectors
from pathfuse.data.images.decode import decode
from pathfuse.errors import PathfuseError
from pathfuse.evaluate.calibrate.file import Calibrators
from pathfuse.evaluate.compare.files import read_comparison
from pathfuse.recipes.compose import split_stages
from pathfuse.recipes.plain_yaml import read_yaml
from pathfuse.register.field import Field
from pathfuse.register.files.metaimage import read_mha, write_mha
from pathfuse.register.files.points import read_points
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.predictions import read_predictions
from pathfuse.slides.opening import open_slide as open_image
from pathfuse.store import open_slide
from pathfuse.study.definition.file import read_study
from pathfuse.system.csv_table import read_csv
from tests.conftest import SMALL
from tests.report.runs import write_whole_run
from tests.smoke.damage import damaged
from tests.smoke.ending import patience

EACH = 100
CASES = b"case_id,patient_id,modality,path,label,split,mpp\n" + b"".join(
    b"c%d,p%d,%s,s%d.svs,%d+,train,0.25\n" % (i // 2, i // 4, b"he" if i % 2 else b"ihc", i, i // 2 % 4)
    for i in range(12)
)
LABELS = b"slide;HER2 score;site\n" + b"".join(b"s%d;%d+;A\n" % (i, i % 4) for i in range(10))
FOLDS = b"repeat,fold,case_id,patient_id,part\n" + b"".join(
    b"0,%d,c%d,p%d,%s\n" % (f, i, i, b"test" if i % 2 == f else b"train") for f in range(2) for i in range(8)
)
VECTORS = b"case_id,age,grade\n" + b"".join(b"c%d,%d,G%d\n" % (i, 40 + i, i % 3) for i in range(10))
STUDY = (
    b"splits: {folds: 3, seed: 0}\nseeds: [1]\noverrides: {trainer.max_epochs: 4}\n"
    b"grid:\n  arm:\n    he_only: {recipe: he_only, subset: he}\n    ihc_only: {recipe: ihc_only}\n"
)
Parsers = Mapping[str, tuple[bytes, str, Callable[[Path], object]]]


def _hdf5(path: Path) -> bytes:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("features", data=np.ones((12, 6), np.float32))
        coords = file.create_dataset("coords", data=np.arange(24).reshape(12, 2))
        coords.attrs.update({"patch_size": 256, "patch_size_level0": 512})
        data.attrs["encoder"] = "uni"
    return path.read_bytes()


def _saved(value: object) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ones((7, 5), np.float16))
    return stream.getvalue()


def _png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)).save(stream, "PNG")
    return stream.getvalue()


def _tiff(path: Path) -> bytes:
    pixels = np.arange(128 * 128 * 3, dtype=np.uint8).reshape(128, 128, 3)
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), resolution=(20000, 20000), resolutionunit=3)
    return path.read_bytes()


def _read_rows(path: Path) -> object:
    slide = open_slide(path)
    return slide.features.read(), slide.level0_coords()


def _calibrators(path: Path) -> object:
    return Calibrators.read(RunFolder(path.parent))


def _read_image(path: Path) -> object:
    with open_image(path) as slide:
        return slide.read_level(0, 0, 0, 64, 64)


@pytest.fixture(scope="module")
def parsers(tmp_path_factory: pytest.TempPathFactory) -> Parsers:
    """Per name, content that is read, what its file is called, and who reads it."""
    folder = tmp_path_factory.mktemp("whole")
    run = write_whole_run(folder / "run", examples=False, patients=8)
    write_mha(folder / "t.mha", Field(np.zeros((4, 5, 2), np.float32), (10.0, 10.0)))
    comparison = json.dumps({"comparison": {"runs": [], "options": {"metrics": []}}}).encode()

    def of_run(name: str) -> bytes:
        return (run / name).read_bytes()

    return {
        "case table": (CASES, "cases.csv", lambda path: scan_cases(path, check_files=False)),
        "label table": (LABELS, "labels.csv", read_labels),
        "folds": (FOLDS, "folds.csv", read_folds),
        "vectors": (VECTORS, "vectors.csv", read_vectors),
        "recipe": (SMALL.encode(), "recipe.yaml", lambda path: split_stages(read_yaml(path), "recipe")),
        "study": (STUDY, "study.yaml", read_study),
        "predictions": (of_run("predictions.csv"), "predictions.csv", read_predictions),
        "calibration": (
            of_run("calibration.json"),
            "calibration.json",
            lambda p: Calibrators.read(RunFolder(p.parent)),
        ),
        "metrics": (of_run("metrics.json"), "metrics.json", lambda path: RunFolder(path.parent).json(path.name)),
        "reliability": (of_run("reliability.csv"), "reliability.csv", read_csv),
        "curve": (of_run("curves/train.csv"), "train.csv", read_csv),
        "comparison": (comparison, "comparison.json", lambda path: read_comparison(path.parent)),
        "field": ((folder / "t.mha").read_bytes(), "t.mha", read_mha),
        "points": (b"x,y,name\n1,2,a\n3.5,4,b\n", "points.csv", read_points),
        "HDF5": (_hdf5(folder / "s.h5"), "s.h5", _read_rows),
        "torch": (_saved({"features": torch.ones(5, 4), "coords": torch.zeros(5, 2)}), "s.pt", _read_rows),
        "npy": (_npy(), "s.npy", _read_rows),
        "PNG": (_png(), "s.png", decode),
        "TIFF": (_tiff(folder / "s.tiff"), "s.tiff", _read_image),
        "slide as PNG": (_png(), "s.png", _read_image),
    }


NAMES = (
    "case table", "label table", "folds", "vectors", "recipe", "study", "predictions", "calibration", "metrics",
    "reliability", "curve", "comparison", "field", "points", "HDF5", "torch", "npy", "PNG", "TIFF", "slide as PNG",
)  # fmt: skip


def test_there_are_two_thousand_of_all_parsers(parsers: Parsers) -> None:
    assert tuple(parsers) == NAMES and len(NAMES) * EACH >= 2000


@pytest.mark.parametrize("name", [name for name in NAMES if name != "comparison"])
def test_what_is_damaged_here_is_read_while_it_is_whole(name: str, parsers: Parsers, tmp_path: Path) -> None:
    content, file, parse = parsers[name]
    (tmp_path / file).write_bytes(content)
    parse(tmp_path / file)


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_input_is_read_or_refused_in_one_line(name: str, parsers: Parsers, tmp_path: Path) -> None:
    content, file, parse = parsers[name]
    path, chance = tmp_path / file, random.Random(f"{name} 12")
    refusals = 0
    for number in range(EACH):
        path.write_bytes(damaged(content, chance))
        with warnings.catch_warnings(), patience():
            warnings.simplefilter("ignore")  # what a decoder remarks on a damaged file is not ours
            refusals += _refused(parse, path, f"{name} {number}")
    assert refusals > 0


def _refused(parse: Callable[[Path], Any], path: Path, what: str) -> bool:
    try:
        parse(path)
    except PathfuseError as error:
        assert str(error).strip() and len(str(error).splitlines()) == 1, f"{what}: {error}"
        return True
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    return False
