"""Writes slides of any format in another one."""

from __future__ import annotations

from pathfuse.errors import StoreError, did_you_mean
from pathfuse.registry import STORES, not_working, note_use
from pathfuse.store.contract import Store
from pathfuse.store.read import stores


def writers() -> dict[str, Store]:
    """The formats that can be written, by name."""
    return {name: store for name, store in sorted(stores().items()) if store.writes}


def writer(source_format: str) -> Store:
    """The store that writes a format; its `write` takes a slide and a folder.

    Raises:
        StoreError: if nobody writes it.
    """
    known = writers()
    if source_format not in known:
        guess = did_you_mean(source_format, known)
        raise StoreError(
            f"nobody writes the format {source_format!r}.{guess} There are {', '.join(known)}."
            f"{not_working(STORES, Store)}"
        )
    note_use(STORES.component(type(known[source_format]).__name__))
    return known[source_format]
