"""Stores: readers and writers of feature files."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py  # type: ignore[import-untyped]
import numpy as np
import torch

from pathfuse.errors import PathfuseError, StoreError
from pathfuse.registry import Match
from pathfuse.store import MemoryRows, SlideFeatures, Store, read_contents
from pathfuse.testing.trial import Trial

PATCHES, WIDTH, EDGE, MPP = 12, 5, 512, 0.25
TOLERANCE = 1e-2  # a format may store half precision
COORDS_PX = 1.0  # micrometres in single precision, and back


def it_knows_its_own_files(trial: Trial) -> None:
    """Its own file is claimed; files that hold something else are not."""
    with _example(trial) as (store, path):
        if path is not None:
            assert store.match(read_contents(path)) > Match.NO, "it does not claim its own file"
        folder = Path(path.parent if path is not None else ".")
        if path is None:
            return
        text, other = folder / "notes.txt", folder / "other.h5"
        text.write_text("This is no feature file.\n")
        with h5py.File(other, "w") as file:
            file["weather"] = np.zeros(3)
        for foreign in (text, other):
            claimed = store.match(read_contents(foreign))
            assert claimed == Match.NO, f"it claims {foreign.name}, which holds no features: {claimed.name}"


def features_are_read_as_they_are(trial: Trial) -> None:
    """Width, number, order and values of what was written; single rows, and in another process."""
    with _example(trial) as (store, path):
        if path is None:
            return
        slide, wanted = store.read(read_contents(path)), _slide().features.read().float()
        assert slide.source_format == store.source_format, f"source_format is {slide.source_format!r}"
        assert slide.slide_id, "slide_id is empty"
        assert slide.features.shape == (PATCHES, WIDTH), f"features are {slide.features.shape}, not (12, 5)"
        some = np.array([7, 0, 7], np.int64)
        reads = {
            "all rows": (slide.features.read(), wanted),
            "rows 7, 0 and 7": (slide.features.read(some), wanted[[7, 0, 7]]),
            "rows in a pickled copy": (pickle.loads(pickle.dumps(slide.features)).read(), wanted),
        }
    for what, (found, expected) in reads.items():
        close = found.shape == expected.shape and torch.allclose(found.float(), expected, atol=TOLERANCE)
        assert close, f"{what} are not what was written"


def places_are_true_or_unknown(trial: Trial) -> None:
    """Coordinates and patch size, where the format stores them, are those that were written, in level-0 pixels."""
    with _example(trial) as (store, path):
        if path is None:
            return
        slide, wanted = store.read(read_contents(path)), _slide()
        slide = slide if slide.mpp is not None else replace(slide, mpp=MPP)
        coords, expected = slide.level0_coords(), wanted.level0_coords()
    if coords is not None and expected is not None:
        far = float((coords.double() - expected.double()).abs().max())
        assert far <= COORDS_PX, f"coordinates are up to {far:.0f} level-0 pixels from where they were written"
    assert slide.mpp == MPP, f"mpp is {slide.mpp}, written was {MPP}"
    size = slide.level0_patch_size
    assert size in (None, EDGE), f"the patch size is {size} level-0 pixels, written was {EDGE}"


def nothing_is_invented(trial: Trial) -> None:
    """A slide of which nothing but features is known is refused by a writer, or read back without further facts."""
    with _example(trial) as (store, _), TemporaryDirectory() as folder:
        if not store.writes:
            return
        bare = SlideFeatures(Path("bare.pt"), "bare", _slide().features, "example")
        try:
            path = store.write(bare, Path(folder))
        except StoreError:
            return
        if store.match(read_contents(path)) == Match.NO:
            return  # eva reads what it writes as a plain tensor
        slide = store.read(read_contents(path))
        facts = {"mpp": slide.mpp, "coords": slide.level0_coords(), "patch size": slide.level0_patch_size}
        invented = [name for name, value in facts.items() if value is not None]
        assert not invented, f"nobody knew {', '.join(invented)}, and the file states it"


def damage_is_an_error_of_pathfuse(trial: Trial) -> None:
    """A file that is cut short raises an error that a user can read, whatever its library raises."""
    with _example(trial) as (store, path):
        if path is None:
            return
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        try:
            contents = read_contents(path)
            if store.match(contents) > Match.NO:
                store.read(contents).features.read()
        except PathfuseError:
            return
        except Exception as error:
            raise AssertionError(
                f"a file that is cut short raises {type(error).__name__} instead of StoreError"
            ) from error


def _slide() -> SlideFeatures:
    """A slide of which everything is known."""
    values = torch.from_numpy(np.random.default_rng(0).random((PATCHES, WIDTH), np.float32)).half()
    places = torch.tensor([[EDGE * (row % 4), EDGE * (row // 4)] for row in range(PATCHES)])
    return SlideFeatures(
        Path("slide.pt"),
        "slide",
        MemoryRows(values),
        "example",
        coords_level0_px=MemoryRows(places),
        patch_size_level0=EDGE,
        mpp=MPP,
        encoder="example",
        facts={"patch_size": 256},
    )


@contextmanager
def _example(trial: Trial) -> Iterator[tuple[Store, Path | None]]:
    """The store, and a file of its format; None where it writes none."""
    store = trial.example.build()
    assert isinstance(store, Store)
    with TemporaryDirectory() as folder:
        yield store, store.example(Path(folder), _slide())
