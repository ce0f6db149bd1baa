"""Opens a feature file of any registered format."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import BinaryIO

from pathfuse.errors import PathfuseError, PluginError, StoreError
from pathfuse.store.contents import hdf5, npy
from pathfuse.store.contents.contents import Contents
from pathfuse.store.contents.torch import read_torch
from pathfuse.store.contract import Match, SlideFeatures, Store
from pathfuse.store.rows import unreadable

GROUP = "pathfuse.store"
SUFFIXES = (".h5", ".hdf5", ".pt", ".pth", ".npy")
USER_BLOCKS = (0, 512, 1024, 2048)  # where an HDF5 file may begin


def open_slide(
    path: Path | str,
    *,
    source_format: str | None = None,
    mpp: float | None = None,
    patch_size_level0: float | None = None,
) -> SlideFeatures:
    """Finds out the format of a feature file and reads its header; the features stay on disk until they are asked for.

    Args:
        path: the file.
        source_format: name of the format; None finds it out.
        mpp: micrometres per level-0 pixel, used where the file does not say.
        patch_size_level0: edge of a patch in level-0 pixels, used where the file does not say.

    Raises:
        StoreError: if the file cannot be read safely, fits no format or several, or contradicts itself.
    """
    path = Path(path)
    contents = read_contents(path)
    slide = _reader(contents, source_format).read(contents)
    if slide.mpp is None:
        slide = replace(slide, mpp=mpp)
    if slide.level0_patch_size is None:
        slide = replace(slide, patch_size_level0=patch_size_level0)
    return slide


def read_contents(path: Path) -> Contents:
    """The header of a file, by what its first bytes say that it is.

    Raises:
        StoreError: if it is no feature file, or damaged.
    """
    try:
        if path.is_dir():
            raise StoreError(f"{path} is a folder. Give one of its files.")
        if not path.is_file() and path.exists():
            raise StoreError(f"{path} is no regular file. Give a feature file.")
        with path.open("rb") as file:
            starts = [_at(file, place) for place in USER_BLOCKS]
    except OSError as error:
        raise unreadable(path, error) from error
    if hdf5.SIGNATURE in starts:
        return hdf5.read_hdf5(path)
    if starts[0].startswith(npy.SIGNATURE):
        return npy.read_npy(path)
    # A torch file is a ZIP archive, or a pickle when it was written before torch 1.6.
    if starts[0].startswith((b"PK\x03\x04", b"\x80")):
        return read_torch(path)
    what = "is empty" if not starts[0] else "is neither HDF5 nor a torch or numpy file"
    raise StoreError(f"{path} {what}. Give a feature file ({', '.join(SUFFIXES)}), or extract it again.")


def stores() -> dict[str, Store]:
    """The readers of all registered formats, by format; one that does not import is left out."""
    return {store.source_format: store for store in _installed()[0]}


def _at(file: BinaryIO, place: int) -> bytes:
    file.seek(place)
    return file.read(8)


def _reader(contents: Contents, source_format: str | None) -> Store:
    known = stores()
    if source_format is not None:
        if source_format not in known:
            raise StoreError(f"there is no format {source_format!r}; there are {', '.join(sorted(known))}.")
        if known[source_format].match(contents) == Match.NO:
            raise StoreError(f"{contents.path} is no {source_format} file. Leave the format out to have it found.")
        return known[source_format]
    ranked = sorted(known.values(), key=lambda store: -store.match(contents))
    best = ranked[0].match(contents) if ranked else Match.NO
    if best == Match.NO:
        raise StoreError(f"{contents.path} fits no known format ({_described(contents)}).{_broken()}")
    claims = [store.source_format for store in ranked if store.match(contents) == best]
    if len(claims) > 1:
        raise StoreError(f"{contents.path} fits {' and '.join(claims)} equally well. Name its format.")
    return ranked[0]


def _described(contents: Contents) -> str:
    if set(contents.arrays) == {"coords"} and not contents.ignored:
        return "it holds coordinates only; give the file with features"
    arrays = [f"{name or 'array'} {found.shape}" for name, found in contents.arrays.items()]
    ignored = [f"{name}: {why}" for name, why in contents.ignored.items()]
    return "; ".join([*arrays, *ignored]) or "it holds no array"


def _broken() -> str:
    failed = _installed()[1]
    return f" These readers do not work: {'; '.join(failed)}." if failed else ""


@cache
def _installed() -> tuple[list[Store], list[str]]:
    found: dict[str, Store] = {}
    owner: dict[str, str] = {}
    failed: list[str] = []
    for entry in entry_points(group=GROUP):
        try:
            store = _load(entry)
        except PathfuseError as error:
            failed.append(str(error))
            continue
        distribution = entry.dist.name if entry.dist else "an unknown distribution"
        taken = found.setdefault(store.source_format, store)
        first = owner.setdefault(store.source_format, distribution)
        if type(taken) is not type(store):
            raise PluginError(
                f"format {store.source_format} is claimed by both {first} and {distribution}. Uninstall one of them."
            )
    return list(found.values()), failed


def _load(entry: EntryPoint) -> Store:
    try:
        store = entry.load()()
    except Exception as error:
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        raise PluginError(f"{entry.name} ({cause})") from error
    if not isinstance(store, Store):
        raise PluginError(f"{entry.name} (it is no Store)")
    return store
