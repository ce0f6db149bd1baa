"""The conformance checks of a component, or of everything that a distribution offers."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pathfuse.cli.plugins.table import WIDE, find
from pathfuse.registry import Component, cards, components
from pathfuse.testing.kit import CheckResult, advice, by_cause
from pathfuse.testing.registered import check_component


def check(word: str, *, as_json: bool = False) -> int:
    """Runs the checks and prints what did not pass, by cause; the exit status is 1 if something failed.

    Args:
        word: a component, or a distribution.
        as_json: print every result for programs instead.
    """
    chosen, left_out = _chosen(word)
    results = [result for component in chosen for result in check_component(component)]
    bad = [result for result in results if not result.passed]
    if as_json:
        print(json.dumps(_document(word, results), indent=2, ensure_ascii=False))
        return 1 if bad else 0
    console = Console(stderr=bool(bad), width=None if (sys.stderr if bad else sys.stdout).isatty() else WIDE)
    causes = by_cause(results)
    if causes:
        table = Table("", "component", "checks", "built for", "cause", box=None)
        for cause in causes:
            cells = (cause.status, cause.component, ", ".join(cause.checks), ", ".join(cause.settings), cause.reason)
            table.add_row(*map(Text, cells))
        console.print(table)
    lines = [*_advice(results), *_counts(results)]
    if left_out:
        lines.append(f"{left_out} published networks are left out for their size; check one by its name.")
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    return 1 if bad else 0


def _chosen(word: str) -> tuple[list[Component], int]:
    """The components that a word means, and how many of a distribution are left out.

    Raises:
        PluginError: if it means nothing, or a single component does not import.
    """
    every = list(components())
    own = [component for component in every if component.distribution.lower().replace("_", "-") == _plain(word)]
    if not own or any(component.name == word for component in every):
        component = find(word)
        component.load()  # of one component alone, that it does not import is the answer
        return [component], 0
    small = [component for component in own if component.name not in cards()]
    return small, len(own) - len(small)


def _plain(word: str) -> str:
    return word.lower().replace("_", "-")


def _advice(results: Sequence[CheckResult]) -> list[str]:
    names = dict.fromkeys(result.component for result in results)
    return [line for name in names for line in advice([one for one in results if one.component == name])]


def _counts(results: Sequence[CheckResult]) -> list[str]:
    lines = []
    for name in dict.fromkeys(result.component for result in results):
        own = [result.passed for result in results if result.component == name]
        ending = "" if all(own) else f", {len(own) - sum(own)} failed"
        lines.append(f"{name}: {len(own)} checks ran, {sum(own)} passed{ending}")
    return lines


def _document(word: str, results: Sequence[CheckResult]) -> dict[str, object]:
    return {
        "checked": word,
        "ran": len(results),
        "failed": sum(not result.passed for result in results),
        "causes": [asdict(cause) for cause in by_cause(results)],
        "results": [asdict(result) for result in results],
    }
