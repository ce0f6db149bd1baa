"""Lines that a person should read before trusting a number."""

from __future__ import annotations

from rich.console import Console


def print_note(text: str, console: Console) -> None:
    """A line to read before trusting a number, never broken in two."""
    console.print(f"note: {text}", highlight=False, soft_wrap=True)
