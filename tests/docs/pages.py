"""The pages of the documentation, cut into what can be run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import PROJECT_ROOT

PAGES = sorted([PROJECT_ROOT / "README.md", PROJECT_ROOT / "CONTRIBUTING.md", *(PROJECT_ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (?P<name>[\w./-]+\.(?:py|yaml))\n")
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_LITERAL = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ +(?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        line: of the page, for messages.
        language: the word behind the fence.
        text: what is in it.
        file: the file that it stands for, where its first line is a comment with a file name.
    """

    line: int
    language: str
    text: str
    file: str | None

    def commands(self) -> list[str]:
        """Command lines, with continued lines joined and comments removed."""
        joined = self.text.replace("\\\n", " ")
        lines = [re.sub(r"\s+# .*", "", line).removeprefix("$ ").strip() for line in joined.splitlines()]
        return [line for line in lines if line and not line.startswith("#")]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        named = _FILE.match(match["text"])
        yield Block(
            text.count("\n", 0, match.start()) + 1,
            match["language"],
            match["text"],
            named["name"] if named else None,
        )


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Targets of all links and pictures."""
    return [match["target"] for match in _LINK.finditer(prose(page))]


def literals(page: Path) -> list[str]:
    """Everything in backticks, outside of blocks."""
    return _LITERAL.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The names that headings can be linked by, as GitHub and MyST make them."""
    titles = [match["title"].lower() for match in _HEADING.finditer(prose(page))]
    return {re.sub(r"[^\w\- ]", "", title.replace("`", "")).strip().replace(" ", "-") for title in titles}
