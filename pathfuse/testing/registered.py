"""A registered component under check: its import and its slot first, then the checks of the kit."""

from __future__ import annotations

from pathfuse.errors import PluginError
from pathfuse.registry import Component
from pathfuse.testing.example import SLOTS
from pathfuse.testing.kit import CheckResult, Status, run_checks


def check_component(component: Component) -> list[CheckResult]:
    """Every result about a component; one that does not import, or fills no slot, has that as its result."""
    try:
        kind = component.load()
    except PluginError as error:
        return [CheckResult(component.name, "it_can_be_imported", "", "failed", str(error))]
    wrong = _wrong_slot(component, kind)
    if wrong:
        return [CheckResult(component.name, "it_fills_its_slot", "", "failed", wrong)]
    quiet: Status = "failed" if component.noise else "passed"
    return [CheckResult(component.name, "its_import_is_quiet", "", quiet, component.noise), *run_checks(kind)]


def _wrong_slot(component: Component, kind: object) -> str:
    """One line on a class in a group that is not its own; empty if it is in the right one."""
    contract = SLOTS[component.slot]
    if isinstance(kind, type) and issubclass(kind, contract):
        return ""
    named = getattr(kind, "__name__", component.name)
    start = f"{named} of {component.distribution} is registered as {component.slot} and is no {contract.__name__}"
    fits = next((s for s, other in SLOTS.items() if isinstance(kind, type) and issubclass(kind, other)), "")
    if fits:
        return f'{start}, but a {SLOTS[fits].__name__}. Name it in the entry points "pathfuse.{fits}" instead.'
    if not isinstance(kind, type):
        return f"{start}: it is no class at all. Name a class in the entry points."
    return f"{start}. Make it a subclass of {contract.__name__}."
