"""TRIDENT's patch features, and ours, which are TRIDENT's with more attributes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch

from pathfuse.errors import StoreError
from pathfuse.registry import Match
from pathfuse.store.contents.contents import Contents, Fact
from pathfuse.store.contract import SlideFeatures, Store
from pathfuse.store.formats.trident_write import OURS, write_trident
from pathfuse.store.rows.rows import MemoryRows, Rows
from pathfuse.system.reading import read_json

STATES = "wsi_states"
MAX_STATE = 1 << 24  # bytes of a state file
MAX_MPP = 100.0
COORDS_FACTS = ("overlap", "level0_magnification", "target_magnification", "level0_width", "level0_height",
                "bounds_x", "bounds_y")  # fmt: skip


class TridentStore(Store):
    """TRIDENT `features_<encoder>/<slide>.h5`: level-0 pixels, top-left; mpp from `wsi_states/*.json`.

    It writes the same with our attributes.

    Source: TRIDENT 0.3.0, `features_*/*.h5`.
    """

    source_format = "trident"
    alone = True

    def match(self, contents: Contents) -> Match:
        """By `encoder`, `savetodir` or `name` on the features, or `patch_size_level0` on the coordinates."""
        features, coords = contents.arrays.get("features"), contents.arrays.get("coords")
        if contents.kind != "hdf5" or features is None or contents.attributes.get("unit") == "um":
            return Match.NO
        own = {"encoder", "savetodir"} & set(features.attributes)
        theirs = coords is not None and {"patch_size_level0", "savetodir"} & set(coords.attributes)
        return Match.LIKELY if own or theirs else Match.NO

    def read(self, contents: Contents) -> SlideFeatures:
        """The slide; a slide-level embedding is refused."""
        shape = contents.arrays["features"].shape
        if len(shape) == 1 and shape[0] > 0:
            raise StoreError(
                f"{contents.path} holds one vector of a whole slide, not one per patch. Give the folder features_*, "
                "not slide_features_*."
            )
        features = contents.rows("features")
        coords = contents.arrays.get("coords")
        facts: dict[str, Fact] = {**contents.attributes, **contents.arrays["features"].attributes}
        facts |= coords.attributes if coords is not None else {}
        lacks = {"mpp": "HDF5 files of TRIDENT store none, and no wsi_states/*.json names it"}
        if "patch_size_level0" not in facts:
            lacks["patch_size_level0"] = "attribute patch_size_level0 of coords"
        if coords is None:
            lacks["coords"] = "array coords"
        encoder = facts.get("encoder")
        return SlideFeatures(
            contents.path,
            contents.path.stem,
            features,
            self.source_format,
            coords_level0_px=None if coords is None else squeezed(contents.rows("coords"), len(features)),
            patch_size_level0=number(facts.get("patch_size_level0")),
            mpp=number(facts.get("mpp")) or state_mpp(contents.path),
            encoder=None if encoder is None else str(encoder),
            modality=str(facts["modality"]) if "modality" in facts else None,
            lacks=lacks,
            facts=facts,
        )

    def write(self, slide: SlideFeatures, root: Path) -> Path:
        """Writes `<slide>.h5`; needs coordinates and the patch size."""
        slide.need("coords")
        slide.need("patch_size_level0")
        coords = slide.level0_coords()
        assert coords is not None
        path = root / f"{slide.slide_id}.h5"
        facts = {name: slide.facts[name] for name in COORDS_FACTS if name in slide.facts}
        root_facts: dict[str, Fact] = {"source": f"converted from {slide.source_format} file {slide.path.name}"}
        if slide.modality is not None:
            root_facts["modality"] = slide.modality
        size = number(slide.facts.get("patch_size")) or number(slide.facts.get("tile_size_px"))
        write_trident(
            path,
            slide.features.read(),
            coords,
            encoder=slide.encoder,
            patch_size=None if size is None else round(size),
            patch_size_level0=slide.level0_patch_size,
            mpp=slide.mpp,
            coords_attributes=facts,
            attributes=root_facts,
        )
        return path


class PathfuseStore(TridentStore):
    """Reads what `pathfuse extract` writes: the TRIDENT layout with mpp, modality and the encoder's digest."""

    source_format = "pathfuse"
    write = Store.write  # a TRIDENT file that we write is one

    def match(self, contents: Contents) -> Match:
        """By the attribute `pathfuse_version` of the file."""
        if contents.kind == "hdf5" and OURS in contents.attributes and "features" in contents.arrays:
            return Match.CERTAIN
        return Match.NO

    def example(self, folder: Path, slide: SlideFeatures) -> Path:
        """What we write as TRIDENT's."""
        return TridentStore.write(self, slide, folder)


def squeezed(coords: Rows, count: int) -> Rows:
    """Coordinates (N, 2); those of an empty slide may have lost their columns."""
    if count == 0 and len(coords) == 0:
        return MemoryRows(torch.zeros(0, 2, dtype=torch.long))
    return coords


def number(value: Fact | None) -> float | None:
    """A positive number, or None."""
    try:
        found = float(value) if value is not None else 0.0
    except ValueError:
        return None
    return found if 0 < found < float("inf") else None


def state_mpp(path: Path) -> float | None:
    """The exact mpp of a slide from TRIDENT's state files, `<job>/<patches>/features_x/<slide>.h5` being the path."""
    folder = path.absolute().parent
    time = states_time(folder)
    if time is None:
        return None
    states = _states(folder.parent.parent / STATES, time).get(path.stem, ())
    found = {mpp for file in states for mpp in [_mpp_in(file)] if mpp is not None}
    return found.pop() if len(found) == 1 else None


def states_time(folder: Path) -> int | None:
    """When TRIDENT's folder of states beside a folder of features changed; None if there is none."""
    states = folder.parent.parent / STATES
    try:
        return states.stat().st_mtime_ns if states.is_dir() else None
    except OSError:
        return None


@lru_cache(maxsize=4)
def _states(folder: Path, time: int) -> dict[str, list[Path]]:
    """The states of a folder by slide; listed once, not once per slide."""
    del time
    found: dict[str, list[Path]] = {}
    for file in folder.iterdir():
        if file.suffix == ".json":
            found.setdefault(file.name.rpartition("__")[0], []).append(file)
    return found


def _mpp_in(file: Path) -> float | None:
    try:
        if file.stat().st_size > MAX_STATE:
            return None
        state = read_json(file)
        mpp = state["meta"]["mpp"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return number(mpp) if isinstance(mpp, int | float | str) and (number(mpp) or MAX_MPP) < MAX_MPP else None
