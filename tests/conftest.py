"""Small things that many tests need: a cohort on disk and recipes that train in a second."""

from __future__ import annotations

import csv
import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from pathfuse.cli import main
from pathfuse.registry.component import NOTEBOOK
from tests.chromium import CHROMIUM, FLAGS
from tests.cohort.natural import NAMES, bag_recipe, stores, table

PROJECT_ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PATHFUSE_DATA", PROJECT_ROOT.parent / "shared" / "data"))
CLASSES = ("0", "1+", "2+", "3+")

# A shell starts what runs in its background with Ctrl-C ignored, and every child inherits that; several tests send one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test measures time: a slow machine is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no development data in {DATA}; set PATHFUSE_DATA")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the cache of the person who runs it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for one file of tests."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync.sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(autouse=True)
def own_components() -> Iterator[None]:
    """What a test registers in its session is not seen by another."""
    before = dict(NOTEBOOK)
    yield
    NOTEBOOK.clear()
    NOTEBOOK.update(before)


def write_cases(folder: Path, patients: int = 16, stains: tuple[str, ...] = ("he", "ihc"), size_px: int = 32) -> Path:
    """A case table with one square image per patient and stain; the label is visible in the brightness."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(patients):
        label = number % len(CLASSES)
        part = "test" if number % 8 >= 6 else "val" if number % 8 >= 4 else "train"
        for stain in stains:
            image = np.clip(rng.normal(60 + 50 * label, 20, (size_px, size_px, 3)), 0, 255).astype(np.uint8)
            path = folder / f"{stain}_{number:03d}.png"
            Image.fromarray(image).save(path)
            rows.append([f"c{number:03d}", f"p{number:03d}", stain, path.name, CLASSES[label], part])
    table = folder / "cases.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["case_id", "patient_id", "modality", "path", "label", "split"], *rows])
    return table


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    folder = tmp_path / "cohort"
    folder.mkdir()
    return write_cases(folder)


SMALL = """
cohort: {cases: CASES}
data:
  class_path: PairedPatches
  init_args: {size_px: 32, normalise: []}
loading: {batch_size: 4, num_workers: 0}
stages:
  correlate:
    model:
      encoder: {class_path: StainEncoder, init_args: {dim: 8, stem: none}}
      fusion: {class_path: SEAttention}
      head: {class_path: ReconstructionHead}
      objective: {class_path: CorrelationObjective}
      loss_weights: {joint: 1.0, from_he: 1.0, from_ihc: 1.0, correlation: 1.5}
    lr_scheduler: {class_path: CosineAnnealingLR, init_args: {T_max: 4}}
    trainer: {max_epochs: 2}
  predict:
    model:
      given: [he]
      encoder:
        class_path: ImageEncoder
        init_args:
          backbone: {class_path: TimmBackbone, init_args: {name: test_resnet, weights: random}}
          input: {class_path: CorrelatedRepresentation, init_args: {checkpoint: "stage:correlate"}}
      fusion: {class_path: MeanFusion}
      head: {class_path: ConfidenceHead}
      loss_weights: {classification: 1.0, confidence: 1.0}
    optimizer: {class_path: Adam, init_args: {lr: 1.0e-3}}
    trainer: {max_epochs: 2}
"""


@pytest.fixture
def small(tmp_path: Path, cases: Path) -> Path:
    """A recipe of two stages on sixteen patients; `pathfuse fit` takes two seconds."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.replace("CASES", str(cases)))
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with features, labels and `run`, which was trained for an epoch on relative sources, logged as CSV."""
    folder = tmp_path_factory.mktemp("trained")
    bag_recipe(folder)
    stores(folder)
    table(folder / "labels.csv", "case_id,label", [f"{name},{'ab'[k % 2]}" for k, name in enumerate(NAMES)])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("PATHFUSE_RUN", raising=False)
        line = "fit --recipe bags.yaml --cases labels.csv --stores '{he: he}' --out run --trainer.logger csv"
        assert main(shlex.split(line)) == 0
    return folder
