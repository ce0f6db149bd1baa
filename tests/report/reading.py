"""A page as its reader gets it: parsed, without a browser."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"meta", "link", "br", "img", "input", "hr"}


@dataclass
class Read(HTMLParser):
    """What a parser finds: elements with attributes, text, and whether everything that was opened was closed."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    numbers: list[tuple[str, str, str]] = field(default_factory=list)
    text: str = ""
    opened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = {key: value or "" for key, value in attrs}
        self.elements.append((tag, own))
        if tag not in VOID:
            self.opened.append(tag)
        if "data-key" in own:
            self.numbers.append((own["data-key"], own["data-value"], ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.opened and self.opened[-1] == "data":
            key, value, _ = self.numbers[-1]
            self.numbers[-1] = key, value, data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [own for name, own in self.elements if name == tag]


def read(path: Path) -> Read:
    found = Read()
    found.feed(path.read_text(encoding="utf-8"))
    assert found.opened == []
    return found


def at(content: Any, pointer: str) -> Any:
    """The value at a place of a JSON document, RFC 6901."""
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        content = content[int(key)] if isinstance(content, list) else content[key]
    return content


def beside(path: Path) -> Any:
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
