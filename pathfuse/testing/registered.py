"""A registered component under check: its import and its slot first, then the checks of the kit."""

from __future__ import annotations

from pathfuse.errors import PluginError
from pathfuse.registry import Component
from pathfuse.registry.faults.unregistered import wrong_base
from pathfuse.testing.example import SLOTS
from pathfuse.testing.kit import CheckResult, Status, run_checks


def check_component(component: Component) -> list[CheckResult]:
    """Every result about a component; one that does not import, or fills no slot, has that as its result."""
    try:
        kind = component.load()
    except PluginError as error:
        return [CheckResult(component.name, "it_can_be_imported", "", "failed", str(error))]
    wrong = wrong_base(component, kind, SLOTS)
    if wrong:
        return [CheckResult(component.name, "it_fills_its_slot", "", "failed", wrong)]
    quiet: Status = "failed" if component.noise else "passed"
    return [CheckResult(component.name, "its_import_is_quiet", "", quiet, component.noise), *run_checks(kind)]
