"""The content of a page, apart from how it looks: sections of tables, charts, pictures and sentences.

A number is kept as it is and rounded where it is shown. So the JSON beside a page has what the page has, unrounded, and
each number on the page says where in the JSON it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from pathfuse.evaluate.names import given_name

Form = Literal["text", "given", "count", "share", "signed", "percent", "p", "number", "tenths"]
Raw = str | int | float | None
Record = Mapping[str, Raw]
NOTHING = "\N{EN DASH}"
FEWEST = 10
"""Cases of a class below which a metric is greyed."""
GREYED = f"Grey: fewer than {FEWEST} cases (of a class), so that one case moves the number by a lot."


def shown(value: Raw, form: Form) -> str:
    """A value as a reader sees it; a dash where there is none."""
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return NOTHING
    if form == "given":
        return given_name(str(value))
    # Files may come from elsewhere and hold anything in the place of a number.
    if not isinstance(value, int | float) or form == "text":
        return str(value)
    if form == "p":
        return "< 0.0001" if value < 1e-4 else f"{value:.4f}"
    formats = {"count": ",.0f", "share": ".3f", "signed": "+.3f", "percent": ".1%", "number": ".4g", "tenths": ".1f"}
    return f"{value:{formats[form]}}"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        key: of the records, and in the JSON.
        head: what stands above it.
        form: how its values are shown; `given` names stains in words.
        interval: whether `<key>_low` and `<key>_high` of the record stand behind the value.
    """

    key: str
    head: str
    form: Form = "text"
    interval: bool = False

    @property
    def numeric(self) -> bool:
        """Whether it is set flush right and sorted by value."""
        return self.form not in ("text", "given")


@dataclass(frozen=True)
class Table:
    """Records below each other; the first column names the row.

    Attributes:
        key: unique in its section.
        caption: what it shows.
        columns: what is shown of the records.
        records: all of it, as it goes into the JSON.
        folded: whether it is closed until the reader opens it.
        faint: numbers of the records that are greyed, because they stand on few cases.
    """

    key: str
    caption: str
    columns: Sequence[Column]
    records: Sequence[Record]
    folded: bool = False
    faint: Sequence[int] = ()
    kind: str = "table"


@dataclass(frozen=True)
class Facts:
    """Names with values, as in a passport."""

    key: str
    columns: Sequence[Column]
    record: Record
    kind: str = "facts"


@dataclass(frozen=True)
class Chart:
    """A drawn chart.

    Attributes:
        key: unique in its section.
        title: its name.
        svg: the drawing.
        data: the numbers that were drawn, for the JSON.
    """

    key: str
    title: str
    svg: str
    data: Any
    kind: str = "chart"


@dataclass(frozen=True)
class Picture:
    """An image inside the page: `uri` is a data address, `alt` what it shows, `caption` what stands below."""

    uri: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Example:
    """One case with its pictures side by side."""

    case_id: str
    text: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Gallery:
    """Cases of one kind; `wide` for drawings, which are larger than photographs and stand on white."""

    key: str
    title: str
    examples: Sequence[Example]
    wide: bool = False
    kind: str = "gallery"


@dataclass(frozen=True)
class Text:
    """Sentences: a paragraph each, or points of a list.

    Attributes:
        lines: the sentences.
        points: whether they are points of a list.
        missing: whether they stand for what is not there.
        lead: whether they are what a page opens with.
    """

    lines: Sequence[str]
    points: bool = False
    missing: bool = False
    lead: bool = False
    kind: str = "text"


@dataclass(frozen=True)
class Source:
    """A file shown as it is, closed until the reader opens it."""

    title: str
    text: str
    kind: str = "source"


Block = Table | Facts | Chart | Gallery | Text | Source


@dataclass(frozen=True)
class Section:
    """A chapter of the page; `key` is its anchor and its place in the JSON."""

    key: str
    title: str
    blocks: Sequence[Block]

    @property
    def groups(self) -> list[list[Block]]:
        """The blocks, with neighbouring charts together, which stand side by side."""
        found: list[list[Block]] = []
        for block in self.blocks:
            if found and isinstance(block, Chart) and isinstance(found[-1][0], Chart):
                found[-1].append(block)
            else:
                found.append([block])
        return found


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: of the page.
        subtitle: what it is about, in one line.
        sections: its chapters.
        source: further content of the JSON, for who reads it with a program.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]
    source: Mapping[str, Any] = field(default_factory=dict)


def missing(text: str) -> Text:
    """A sentence in the place of what cannot be shown."""
    return Text([text], missing=True)


def as_data(page: Page) -> dict[str, Any]:
    """The content of the JSON beside a page: by section and block, everything that is a number there."""
    sections = {}
    for section in page.sections:
        own: dict[str, Any] = {}
        for block in section.blocks:
            if isinstance(block, Table):
                own[block.key] = [dict(record) for record in block.records]
            elif isinstance(block, Facts):
                own[block.key] = dict(block.record)
            elif isinstance(block, Chart):
                own[block.key] = block.data
        sections[section.key] = own
    return {"title": page.title, "sections": _plain(sections), **_plain(dict(page.source))}


def pointer(*keys: str | int) -> str:
    """The place of a block or record in that JSON, as RFC 6901 writes it."""
    place = "/sections"
    for key in keys:
        place = below(place, key)
    return place


def below(place: str, key: str | int) -> str:
    """One step further down."""
    return f"{place}/" + str(key).replace("~", "~0").replace("/", "~1")


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    # JSON has no NaN and no infinity.
    return None if isinstance(value, float) and not isfinite(value) else value
