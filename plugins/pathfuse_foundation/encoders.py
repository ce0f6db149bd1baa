"""One class per encoder of the table that can be built; its name is the word in a recipe."""

from __future__ import annotations

from pathfuse_foundation.encoder import FoundationEncoder
from pathfuse_foundation.table import Row, rows


def encoder_of(row: Row) -> type[FoundationEncoder]:
    """The class of one row.

    Args:
        row: what is known of the encoder.
    """
    about = f"{row.name}: {row.published}, {row.out_dim} wide, for patches of {row.input_px} px."
    lines = [
        about,
        *([row.remark] if row.remark else []),
        FoundationEncoder.shared_options(),
        f"Source: {row.citation}.",
    ]
    facts = {"__doc__": "\n\n".join(lines), "__module__": __name__, "row": row}
    return type(row.name, (FoundationEncoder,), facts)


globals().update({name: encoder_of(row) for name, row in rows().items()})


def __getattr__(name: str) -> type[FoundationEncoder]:  # for type checkers: the classes are made above
    raise AttributeError(f"the table has no encoder called {name!r}")
