"""The demo cohort as slides of serial sections: H&E and IHC of one block, and the known map between them."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pathfuse.demo.block import Row, make_block
from pathfuse.demo.case import SLIDE_UM
from pathfuse.demo.cohort import (
    Progress,
    refuse_extra_stains,
    save_png,
    write_cases,
    write_once,
    write_table,
)
from pathfuse.demo.histology import sections
from pathfuse.demo.histology.fields import Floats, Window
from pathfuse.demo.histology.tissue import tissue
from pathfuse.demo.options import DemoCohort
from pathfuse.demo.patient import make_patient
from pathfuse.demo.pictures import SerialPictures
from pathfuse.demo.serial.known_map import KnownMap, Points, draw_map
from pathfuse.demo.slides import piece_of_tissue

TRUTH_COLUMNS = ("fixed_x", "fixed_y", "moving_x", "moving_y")
_GRID = 24  # points of the truth along an edge of the slide
_BAND = 64  # rows of a slide that are moved at once
_SECTION = 1  # the IHC is the next section: the same nests, other cells


def write_serial(
    folder: Path | str, who: DemoCohort, pictures: SerialPictures, progress: Progress | None = None
) -> Path:
    """Writes the cohort and returns its `cases.csv`; a finished cohort of the same options is used as it is.

    Beside the table it holds `slides/<stain>/<case>.png` and `truth/points/<case>.csv`: places of the H&E slide and
    where they lie on the IHC slide, in level-0 pixels, wherever both sections have tissue.

    Args:
        folder: where; the folder must be absent, empty, or this cohort.
        who: the patients.
        pictures: what is drawn of them.
        progress: is told the finished and the total number of cases.

    Raises:
        CaseTableError: if the folder holds something else or cannot be written.
        RecipeError: if the patients have further stains, of which no sections are drawn.
    """
    refuse_extra_stains(who, "serial sections")
    return write_once(folder, who, pictures, lambda building: _write(building, who, pictures, progress))


def _write(folder: Path, who: DemoCohort, pictures: SerialPictures, progress: Progress | None) -> None:
    def make(index: int) -> list[Row]:
        return _write_case(folder, who, pictures, index)

    write_cases(folder, make, who.patients, progress)


def _write_case(folder: Path, who: DemoCohort, pictures: SerialPictures, index: int) -> list[Row]:
    block = make_block(who, 1, index, "serial")
    pair = SerialPair(who, pictures, index)
    write_table(folder / "truth" / "points" / f"{block.case_id}.csv", TRUTH_COLUMNS, pair.truth())
    rows: list[Row] = []
    for stain in block.stains:
        path = Path("slides", stain, f"{block.case_id}.png")
        save_png(folder / path, Image.fromarray(pair.image(stain)))
        rows.append(block.row(stain, path, pictures.mpp))
    return rows


class SerialPair:
    """Two sections of a block, before they are written.

    Args:
        who: the patients.
        pictures: what is drawn of them.
        index: position of the patient.

    Attributes:
        known: the map from the H&E to the IHC slide.
    """

    def __init__(self, who: DemoCohort, pictures: SerialPictures, index: int) -> None:
        rng = np.random.default_rng([who.seed, zlib.crc32(b"serial map"), index])
        edge_um = pictures.slide_px * pictures.mpp
        half = SLIDE_UM / 2
        middle = rng.uniform(min(edge_um, half), max(SLIDE_UM - edge_um, half), 2)
        self.pictures = pictures
        self.patient = make_patient(who, index)
        self.seed = who.seed
        self.index = index
        self.window = Window(float(middle[0]), float(middle[1]), pictures.slide_px, pictures.mpp)
        self.piece = piece_of_tissue(pictures.slide_px, rng)  # (H, W)
        self.known: KnownMap = draw_map(
            rng,
            edge_um,
            rotation_deg=pictures.rotation_deg,
            mirrored=pictures.mirrored,
            scale=pictures.scale,
            warp_um=pictures.warp_um,
            lost=pictures.lost,
            torn=pictures.torn,
            folded=pictures.folded,
        )

    def image(self, stain: str) -> NDArray[np.uint8]:
        """(H, W, 3): the slide of a stain."""
        light = self._light(stain)  # (H, W, 3)
        if stain != "he":
            light = self._moved(light, self.patient.stainings[stain].white.astype(np.float32))
        noise = np.random.default_rng([self.seed, zlib.crc32(f"serial {stain}".encode()), self.index])
        grain = noise.standard_normal((*light.shape[:2], 1), np.float32) * np.float32(1.5)
        exposed: NDArray[np.uint8] = np.clip(light + grain + np.float32(0.5), 0, 255).astype(np.uint8)
        return exposed

    def truth(self) -> list[Row]:
        """Rows of `TRUTH_COLUMNS`: places with tissue on both slides, in level-0 pixels."""
        edge, mpp = self.pictures.slide_px, self.pictures.mpp
        step = (np.arange(_GRID) + 0.5) * edge / _GRID
        fixed = np.stack(np.meshgrid(step, step), axis=-1).reshape(-1, 2)  # (N, 2)
        moving = self.known.forward(fixed * mpp) / mpp
        _, there = self.known.backward(moving * mpp)
        there &= self.piece[fixed[:, 1].astype(int), fixed[:, 0].astype(int)] > 0.5
        there &= ((moving >= 0) & (moving < edge)).all(axis=1)
        return [tuple(f"{value:.3f}" for value in row) for row in np.hstack([fixed, moving])[there].tolist()]

    def _light(self, stain: str) -> Floats:
        """The light that arrives from the section of a stain, before it was moved, (H, W, 3)."""
        section = 0 if stain == "he" or self.pictures.restained else _SECTION
        seen = tissue(self.patient, self.window, section=section)
        stains = (
            sections.he_section(self.patient, self.window, seen)
            if stain == "he"
            else sections.her2_section(self.patient, self.window, seen)[0]
        )
        staining = self.patient.stainings[stain]
        light = staining.transmit([one * self.piece for one in stains])
        from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]  # only where something is drawn

        sigma = staining.blur_um / self.pictures.mpp
        return gaussian_filter(light, (sigma, sigma, 0), truncate=3.0) if sigma > 0.25 else light

    def _moved(self, light: Floats, glass: Floats) -> Floats:
        """The light of a section as it lies on its slide; glass where it is not."""
        from scipy.ndimage import map_coordinates

        edge, mpp = self.pictures.slide_px, self.pictures.mpp
        moved = np.empty_like(light)
        centre = (np.arange(edge) + 0.5) * mpp
        for top in range(0, edge, _BAND):
            points: Points = np.stack(np.meshgrid(centre, centre[top : top + _BAND]), axis=-1).reshape(-1, 2)
            passed = np.ones((len(points), 3), np.float32)  # share of the light that comes through, layer after layer
            for source, there in self.known.layers(points):
                place = (source[there] / mpp - 0.5).T[::-1]  # row and column of the pixel's centre
                for channel, clear in enumerate(glass):
                    values = map_coordinates(light[..., channel], place, order=1, mode="constant", cval=clear)
                    passed[there, channel] *= values / clear
            moved[top : top + _BAND] = (passed * glass).reshape(-1, edge, 3)
        return moved
