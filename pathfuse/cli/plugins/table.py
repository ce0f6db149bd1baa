"""The list of all components, and the page of one."""

from __future__ import annotations

import inspect
import json
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pathfuse.cli.help.lines import flowing, shortened
from pathfuse.errors import PluginError
from pathfuse.registry import API, REGISTRIES, Card, Component, card_of, cards, components, unknown
from pathfuse.registry.faults.troubles import troubles
from pathfuse.registry.metadata import OWN, UNKNOWN, facts_of
from pathfuse.registry.network import network_of

COLUMNS = ("slot", "component", "distribution", "version", "api", "licence", "network", "note")
WIDE = 250
"""Columns where nobody looks at a terminal: a line is then a line, for grep."""


def list_all(*, as_json: bool = False) -> int:
    """Prints every component, then what is named but not built; what does not work goes to the error output."""
    known, lines = cards(), [trouble.said for trouble in troubles()]
    rows = [
        _row(component, known.get(component.name))
        for registry in REGISTRIES
        for component in sorted(registry.table().values(), key=lambda component: component.name)
    ]
    rows += [_missing(card) for card in known.values() if card.missing]
    if as_json:
        named = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        print(json.dumps({"components": named, "troubles": lines}, indent=2, ensure_ascii=False))
        return 0
    table = Table(*COLUMNS, box=None)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # brackets are no markup
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
    for line in lines:
        print(f"warning: {line}", file=sys.stderr)
    return 0


def show(name: str) -> int:
    """Prints what a component is for, its options as its constructor documents them, and its card if it has one."""
    card = card_of(name)
    if card is not None and card.missing:
        print("\n".join(short for line in card.text().splitlines() for short in shortened(line)))
        return 0
    component = find(_registered(name, card))
    kind = component.load()
    lines = [f"{kind.__module__}.{kind.__qualname__}", "", *flowing(inspect.getdoc(kind) or ""), "", "Options:"]
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty:
            lines.append("  " + _option(parameter))
    facts = facts_of(component.distribution)
    network = ", ".join(network_of(component)) or "none that its source names"
    origin = f"Of {component.distribution} {facts.version}, licence {facts.licence}. Ways to the network: {network}."
    lines += ["", origin]
    if card is not None:
        lines += ["", "Card:", *card.text().splitlines()]
    print("\n".join(short for line in lines for short in shortened(line)))
    return 0


def _registered(name: str, card: Card | None) -> str:
    """The name of a component for what other programs call it, or for a word of `--encoder` such as `timm:resnet50`."""
    if name.startswith(("timm:", "local-dir:")):
        return "TimmBackbone"
    return name if card is None or any(component.name == name for component in components()) else card.name


def _option(parameter: inspect.Parameter) -> str:
    """An option with its type and default, as Python would write them."""
    said = parameter.annotation
    kind = said if isinstance(said, str) else inspect.formatannotation(said)
    return f"{parameter.name}: {kind}" + ("" if parameter.default is parameter.empty else f" = {parameter.default!r}")


def find(name: str) -> Component:
    """The component of a name.

    Raises:
        PluginError: if there is none, with near names.
    """
    known = {component.name: component for component in components()}
    if name not in known:
        raise PluginError(unknown("no component", name, [*known, *cards()]))
    return known[name]


def _row(component: Component, card: Card | None) -> tuple[str, ...]:
    facts = facts_of(component.distribution)
    made_for = ".".join(map(str, API)) if component.distribution == OWN else ", ".join(component.api)
    return (
        component.slot, component.name, component.distribution, facts.version, made_for or UNKNOWN,
        facts.licence, ", ".join(network_of(component)), card.note if card else "",
    )  # fmt: skip


def _missing(card: Card) -> tuple[str, ...]:
    return (card.kind, card.name, card.distribution, facts_of(card.distribution).version, "", "", "", card.note)
