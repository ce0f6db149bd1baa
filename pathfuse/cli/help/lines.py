"""Help at eighty columns, with examples at its end."""

from __future__ import annotations

import re
import textwrap

from pathfuse.cli.help.examples import EXAMPLES

WIDTH = 80
_DEEPEST = 24  # columns that a continued description is indented by at most
_OPTION = re.compile(r"(\s*\S.*?\S\s{2,}|\s*--?\S+( \S+)?\s)(?=\S)")


def with_examples(name: str, text: str) -> str:
    """The help of a command at eighty columns, and then its examples.

    Args:
        name: of the command.
        text: its help, with lines of any length.
    """
    lines = [short for line in text.rstrip().splitlines() for short in shortened(line)]
    examples = EXAMPLES.get(name, ())
    shown = ["", "Examples:", *(f"  {line}" for example in examples for line in _command(example))] if examples else []
    return "\n".join([*lines, *shown])


def shortened(line: str) -> list[str]:
    """A line of help as lines of at most eighty columns; a description goes on under itself."""
    if len(line) <= WIDTH:
        return [line]
    found = _OPTION.match(line)
    indent = len(found[0]) if found else len(line) - len(line.lstrip())
    if line.startswith("usage:") or indent > _DEEPEST:
        indent = 8 if line.startswith("usage:") else _DEEPEST
    return textwrap.wrap(
        line,
        WIDTH,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def flowing(text: str) -> list[str]:
    """The lines of a docstring at eighty columns: what was broken there is joined before it is broken anew."""
    lines: list[str] = []
    for line in text.splitlines():
        goes_on = bool(lines and lines[-1]) and not lines[-1].endswith(":") and not line.lstrip().startswith(("-", "|"))
        here, above = (len(one) - len(one.lstrip()) for one in (line, lines[-1] if lines else ""))
        if line and goes_on and (here > above or here == above == 0):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    indents = (" " * (len(line) - len(line.lstrip()) + (4 if line.startswith(" ") else 0)) for line in lines)
    return [
        short
        for line, indent in zip(lines, indents, strict=True)
        for short in textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False) or [""]
    ]


def _command(example: str) -> list[str]:
    """A command line, broken with backslashes where it is too long."""
    whole = re.sub(r"'[^']*'", lambda found: found[0].replace(" ", "\0"), example)  # what is quoted stays in one line
    lines = textwrap.wrap(whole, WIDTH - 6, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    lines = [line.replace("\0", " ") for line in lines]
    return [*(f"{line} \\" for line in lines[:-1]), *lines[-1:]]
