"""Opens a feature file of any registered format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from pathfuse.errors import PluginError, StoreError
from pathfuse.registry import STORES, Match, not_working, note_use, surest, working
from pathfuse.store.contents import hdf5, npy
from pathfuse.store.contents.contents import Contents
from pathfuse.store.contents.torch import read_torch
from pathfuse.store.contract import SlideFeatures, Store
from pathfuse.store.rows.stamp import unreadable

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
    slide, _ = read_slide(Path(path), source_format)
    return with_facts(slide, mpp=mpp, patch_size_level0=patch_size_level0)


def read_slide(
    path: Path, source_format: str | None = None, known: Mapping[str, Store] | None = None
) -> tuple[SlideFeatures, Store]:
    """A slide as its file says it, and who read it.

    Args:
        path: the file.
        source_format: name of the format; None finds it out.
        known: the stores by format; None looks them up, which is a tenth of the time of a file.

    Raises:
        StoreError: as `open_slide`.
        PluginError: if the store returns something else.
    """
    contents = read_contents(path)
    store = _reader(contents, source_format, stores() if known is None else known)
    slide = store.read(contents)
    if not isinstance(slide, SlideFeatures):
        name = type(store).__name__
        raise PluginError(f"{name}.read returns a {type(slide).__name__}, and has to return SlideFeatures. Repair it.")
    note_use(STORES.component(type(store).__name__))
    return slide, store


def with_facts(slide: SlideFeatures, *, mpp: float | None, patch_size_level0: float | None) -> SlideFeatures:
    """The slide with what its file does not say."""
    if slide.mpp is None and mpp is not None:
        slide = replace(slide, mpp=mpp)
    if slide.level0_patch_size is None and patch_size_level0 is not None:
        slide = replace(slide, patch_size_level0=patch_size_level0)
    return slide


def read_contents(path: Path) -> Contents:
    """The header of a file, by what its first bytes say that it is.

    Raises:
        StoreError: if it cannot be read, is empty or damaged.
    """
    try:
        mode = path.stat().st_mode
        if S_ISDIR(mode):
            raise StoreError(f"{path} is a folder. Give one of its files.")
        if not S_ISREG(mode):
            raise StoreError(f"{path} is no regular file. Give a feature file.")
        with path.open("rb") as file:
            head = file.read(USER_BLOCKS[-1] + 8)
    except OSError as error:
        raise unreadable(path, error) from error
    if any(head[place : place + 8] == hdf5.SIGNATURE for place in USER_BLOCKS):
        return hdf5.read_hdf5(path)
    if head.startswith(npy.SIGNATURE):
        return npy.read_npy(path)
    if path.suffix.lower() == ".npz":
        raise StoreError(f"{path} is a .npz, which is not read. Save its features as .npy, .pt or .h5.")
    # A torch file is a ZIP archive, or a pickle when it was written before torch 1.6.
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return read_torch(path)
    if not head:
        raise StoreError(f"{path} is empty. {_advice()}")
    return Contents(path, "other", {})


def suffixes() -> tuple[str, ...]:
    """The suffixes of feature files, in lower case: ours and those of all stores."""
    return tuple(dict.fromkeys([*SUFFIXES, *(suffix for store in stores().values() for suffix in store.suffixes)]))


def stores() -> dict[str, Store]:
    """All registered stores by format; one that does not import is left out.

    Raises:
        PluginError: if two claim one format.
    """
    found: dict[str, Store] = {}
    for name, store in working(STORES, Store)[0].items():
        other = found.setdefault(store.source_format, store)
        if other is not store:
            table = STORES.table()
            first, second = table[type(other).__name__].distribution, table[name].distribution
            raise PluginError(
                f"format {store.source_format} is claimed by both {first} and {second}. Uninstall one of them."
            )
    return found


def _reader(contents: Contents, source_format: str | None, known: Mapping[str, Store]) -> Store:
    if source_format is not None:
        if source_format not in known:
            raise StoreError(f"there is no format {source_format!r}; there are {', '.join(sorted(known))}.")
        if known[source_format].match(contents) == Match.NO:
            raise StoreError(f"{contents.path} is no {source_format} file. Leave the format out to have it found.")
        return known[source_format]
    claims = surest(known, lambda store: store.match(contents))
    if not claims:
        if contents.kind == "other":
            raise StoreError(
                f"{contents.path} is neither HDF5 nor a torch or numpy file. {_advice()}{not_working(STORES, Store)}"
            )
        raise StoreError(f"{contents.path} fits no known format ({_described(contents)}).{not_working(STORES, Store)}")
    if len(claims) > 1:
        raise StoreError(f"{contents.path} fits {' and '.join(claims)} equally well. Name its format.")
    return known[claims[0]]


def _described(contents: Contents) -> str:
    if set(contents.arrays) == {"coords"} and not contents.ignored:
        return "it holds coordinates only; give the file with features"
    arrays = [f"{name or 'array'} {found.shape}" for name, found in contents.arrays.items()]
    ignored = [f"{name}: {why}" for name, why in contents.ignored.items()]
    return "; ".join([*arrays, *ignored]) or "it holds no array"


def _advice() -> str:
    return f"Give a feature file ({', '.join(suffixes())}), or extract it again."
