"""`pathfuse report RUN|STUDY|COMPARISON`."""

from __future__ import annotations

from pathlib import Path

from pathfuse.cli.text import COMMANDS
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError


def report(words: list[str]) -> int:
    """Writes the page of a folder."""
    line = Words.split(words)
    if line.has("help") or not words:
        command = COMMANDS["report"]
        print(f"usage: {command.usage}\n\n{command.about}\n{command.details}")
        return 0
    out = line.take("out")
    if len(line.positional) != 1:
        raise RecipeError("name one folder: of a run, a study or a comparison.")
    folder = Path(line.positional.pop())
    line.finish()
    from pathfuse.report.write import write_report

    for path in write_report(folder, Path(out) if out else None):
        print(path)
    return 0
