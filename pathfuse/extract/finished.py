"""Slides that are done already, and the remains of a killed run."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import h5py  # type: ignore[import-untyped]

from pathfuse.errors import StoreError
from pathfuse.extract.layout import Layout
from pathfuse.extract.settings import Settings, differences
from pathfuse.extract.sources import SlideSource

SETTINGS = "pathfuse_settings"


def is_finished(source: SlideSource, layout: Layout, settings: Settings) -> bool:
    """Whether a slide's features are there, made with the same settings.

    Raises:
        StoreError: if they were made with others, naming what differs.
    """
    path = layout.features(source.slide_id)
    if not path.exists():
        return False
    try:
        with h5py.File(path, "r") as file:
            stored = file.attrs.get(SETTINGS)
    except (OSError, RuntimeError, KeyError, ValueError) as error:  # by what is damaged in it
        raise StoreError(f"{path} is there but cannot be read. Remove it, or give --overwrite.") from error
    if stored is None:
        raise StoreError(f"{path} was not made by pathfuse extract. Choose another --out, or give --overwrite.")
    found = differences(str(stored), settings.to_json(source.mpp))
    if found:
        raise StoreError(
            f"{path} was made with other settings ({'; '.join(found)}). Choose another --out, or give --overwrite."
        )
    return True


def check_finished(sources: Sequence[SlideSource], layout: Layout, settings: Settings) -> None:
    """Refuses to start where some of the slides were done with other settings.

    Raises:
        StoreError: for the first of them.
    """
    for source in sources:
        is_finished(source, layout, settings)


def remove_remains(slide_id: str, layout: Layout) -> None:
    """Removes temporary files of a run that was killed; call it with the slide's lock held."""
    for path in (
        layout.features(slide_id),
        layout.patches(slide_id),
        layout.thumbnail(slide_id),
        layout.contours(slide_id),
        layout.geojson(slide_id),
    ):
        for remains in path.parent.glob(glob.escape(f".{path.name}.") + "*"):
            Path(remains).unlink(missing_ok=True)
