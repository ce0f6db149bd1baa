"""Words of a command: notes that are never broken in two, and torch without its hints."""

from __future__ import annotations

import warnings

from rich.console import Console

HINTS = r"This DataLoader will create \d+ worker processes.*"
"""On a machine of one core, or with affinity to one."""


def hush() -> None:
    """Switches off what torch says to people who write their own loops; a recipe decides these things on purpose."""
    warnings.filterwarnings("ignore", HINTS)


def print_note(text: str, console: Console) -> None:
    """A line to read before trusting a number, never broken in two."""
    console.print(f"note: {text}", highlight=False, soft_wrap=True)
