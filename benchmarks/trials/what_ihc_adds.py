"""The picture in the README: the page of `pathfuse compare` on generated features of two stains, made by its commands.

    python -m benchmarks.trials.what_ihc_adds --out docs/images/what_ihc_adds.png  # needs Chromium and playwright

The features are noise with a direction that grows with the HER2 score: little in H&E, more in IHC, in a third of the
patches. A fifth of the patients lacks one stain. Nothing was tried out on the seed before.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

import numpy as np
import torch

from pathfuse.cli import main as pathfuse
from pathfuse.store.formats.trident_write import write_trident

SCORES = ("0", "1+", "2+", "3+")
FOLDERS = {"he": "features/he", "ihc": "features/ihc"}
WIDTH, PATCHES, EDGE = 32, 40, 512  # of the features, of a slide, of a patch in level-0 pixels
STRENGTH = {"he": 0.35, "ihc": 0.8}
TUMOUR = 0.3
TABLE = "cohort.xlsx"
STORES = "{" + ", ".join(f"{stain}: {folder}" for stain, folder in FOLDERS.items()) + "}"
COMMANDS = (
    ["data", "check", TABLE, "--stores", STORES],
    ["crossval", "--recipe", "attention_mil", "--layer", "both_stains", "--folds", "5", "--cases", TABLE,
     "--stores", STORES, "--loading.batch_size", "8", "--optimizer.lr", "1e-3", "--out", "runs/stains"],
    ["compare", "runs/stains", "--out", "what_ihc_adds"],
)  # fmt: skip


def write_cohort(folder: Path, *, patients: int = 80, seed: int = 0) -> Path:
    """TRIDENT's features of two stains and an Excel sheet, as a lab may have them; returns the sheet.

    Args:
        folder: where.
        patients: how many; a tenth of 80 has H&E alone, another tenth IHC alone.
        seed: of everything.
    """
    from openpyxl import Workbook  # of the extra excel

    rng = np.random.default_rng(seed)
    directions = {stain: rng.normal(size=WIDTH) for stain in FOLDERS}
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Patient", "HER2 score", "Hospital"])
    for number in range(patients):
        score, name = number % 4, f"P{number:03d}"
        sheet.append([name, SCORES[score], "AB"[number // 4 % 2]])
        alone = {6: "he", 7: "ihc"}.get(number // 4 % 8)  # whole rounds of the scores
        for stain in FOLDERS if alone is None else (alone,):
            tumour = rng.random(PATCHES) < TUMOUR
            unit = directions[stain] / np.linalg.norm(directions[stain])
            values = rng.normal(size=(PATCHES, WIDTH)) + STRENGTH[stain] * score * tumour[:, None] * unit
            _write(folder / FOLDERS[stain] / f"{name}.h5", values)
    book.save(folder / TABLE)
    return folder / TABLE


def _write(path: Path, values: np.ndarray) -> None:
    side = int(np.ceil(np.sqrt(len(values))))
    places = torch.tensor([(EDGE * (i % side), EDGE * (i // side)) for i in range(len(values))])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_trident(path, torch.from_numpy(values).float(), places, encoder="uni_v1", patch_size=256,
                  patch_size_level0=EDGE, mpp=0.25)  # fmt: skip


def picture(page: Path, out: Path, *, width: int = 1000) -> None:
    """The head of a page as a reader sees it first, down to the end of its answer."""
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=browser, headless=True, args=["--no-sandbox", "--disable-gpu"])
        tab = opened.new_page(viewport={"width": width, "height": 800})
        tab.goto(page.resolve().as_uri())
        box = tab.locator("#answer").bounding_box()
        assert box is not None
        out.parent.mkdir(parents=True, exist_ok=True)
        height = round(box["y"] + box["height"]) + 16
        tab.screenshot(path=str(out), full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
        opened.close()


def main() -> int:
    """Writes the cohort, runs the commands of the README and takes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/what_ihc_adds.png"))
    parser.add_argument("--patients", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    said = parser.parse_args()
    out = said.out.resolve()
    with tempfile.TemporaryDirectory() as place, chdir(place):
        write_cohort(Path(), patients=said.patients, seed=said.seed)
        for words in COMMANDS:
            if status := pathfuse(list(words)):
                return status
        picture(Path("what_ihc_adds/report.html"), out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
