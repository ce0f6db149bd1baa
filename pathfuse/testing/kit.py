"""The conformance kit: the runner behind `pathfuse plugins check NAME`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pathfuse.errors import PathfuseError, PluginError
from pathfuse.testing.by_slot import DECLARATIONS, Check, bag_checks_of, checks_of
from pathfuse.testing.example import Example, as_example
from pathfuse.testing.settings import Setting, settings_of
from pathfuse.testing.trial import Trial

_CASE = re.compile(r"\bcase \S+")
Status = Literal["passed", "failed", "expected failure", "unexpected pass"]


@dataclass(frozen=True)
class CheckResult:
    """One check of one component.

    Attributes:
        component: name of the class.
        name: name of the check.
        setting: what the component was built for; empty for checks of the class itself.
        status: how it went.
        reason: why it failed, or why it was expected to.
    """

    component: str
    name: str
    setting: str
    status: Status
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether it went as it should."""
        return self.status in ("passed", "expected failure")


@dataclass(frozen=True)
class Cause:
    """Checks of one component that did not pass for one and the same reason.

    Attributes:
        status: how they went.
        component: name of the class.
        reason: why.
        checks: their names.
        settings: what the component was built for in them.
        count: how many results there are.
    """

    status: Status
    component: str
    reason: str
    checks: tuple[str, ...]
    settings: tuple[str, ...]
    count: int

    def __str__(self) -> str:
        """One line."""
        where = f" ({', '.join(self.settings)})" if self.settings else ""
        count = f" [{self.count} checks]" if self.count > 1 else ""
        return f"{self.status}: {self.component} {', '.join(self.checks)}{where}: {self.reason}{count}"


def accepted_settings(example: Example) -> tuple[Setting, ...]:
    """The settings that a component can be built for.

    A component says no to a layout or kind of data by raising a pathfuse error in its constructor. One that says no
    to all of them cannot be checked.

    Raises:
        PluginError: if it refuses everything, with its own reason.
    """
    accepted, refusal = [], ""
    for setting in settings_of(example):
        try:
            Trial(example, setting).build()
        except PathfuseError as error:
            refusal = str(error)
        else:
            accepted.append(setting)
    if not accepted:
        raise PluginError(f"{example.name} cannot be built for any data of the conformance kit: {refusal}")
    return tuple(accepted)


def run_checks(component: type | Example) -> list[CheckResult]:
    """Runs every check that applies to a component.

    Args:
        component: the class, or an example of it with options.

    Returns:
        One result per check and setting; never an empty list.
    """
    example = as_example(component)
    everything = settings_of(example)
    results = [_run(example, check, everything[0], "") for check in DECLARATIONS]
    try:
        settings = accepted_settings(example)
    except Exception as error:  # noqa: BLE001 - whatever a foreign constructor raises is the result
        needed = ", ".join(_unsaid(example)) if isinstance(error, TypeError) else ""
        cure = f". Give {needed} a default, or say in example_options what the kit takes" if needed else ""
        reason = f"{_line(error)}{cure}"
        return [*results, CheckResult(example.name, "it_can_be_built", "", "failed", reason)]
    for setting in settings:
        for check in (*checks_of(example)[len(DECLARATIONS) :], *_bag_checks_in(example, setting)):
            results.append(_run(example, check, setting, setting.name))
    return results


def _unsaid(example: Example) -> list[str]:
    """The options that nothing fills; all that are needed where their types cannot be read."""
    try:
        return example.unsaid
    except (NameError, AttributeError, TypeError, SyntaxError):
        return example.required


def summary(results: list[CheckResult]) -> str:
    """Failures one by one, then how many checks ran.

    Raises:
        PluginError: if none ran; a silent kit proves nothing.
    """
    if not results:
        raise PluginError("No check ran. Name a component that is registered, or pass its class.")
    lines = [*map(str, by_cause(results)), *advice(results)]
    names = ", ".join(sorted({result.component for result in results}))
    good = sum(result.passed for result in results)
    ending = "" if good == len(results) else f", {len(results) - good} failed"
    return "\n".join([*lines, f"{names}: {len(results)} checks ran, {good} passed{ending}"])


def by_cause(results: Sequence[CheckResult]) -> list[Cause]:
    """What did not pass, gathered by its cause."""
    causes: dict[tuple[Status, str, str], list[CheckResult]] = {}
    for result in results:
        if result.status != "passed":
            same = _CASE.sub("case", result.reason)  # checks begin with different cases
            causes.setdefault((result.status, result.component, same), []).append(result)
    return [
        Cause(
            own[0].status,
            own[0].component,
            own[0].reason,
            tuple(dict.fromkeys(result.name for result in own)),
            tuple(dict.fromkeys(result.setting for result in own if result.setting)),
            len(own),
        )
        for own in causes.values()
    ]


def advice(results: Sequence[CheckResult]) -> list[str]:
    """How a component says no, where one fails for some kinds of data alone."""
    failed = {result.setting for result in results if result.status == "failed" and result.setting}
    whole = {result.setting for result in results if result.setting} - failed
    if not failed or not whole:
        return []
    return [
        f"It fails in {', '.join(sorted(failed))} and passes in {', '.join(sorted(whole))}. A component that is "
        'not made for some layout or kind of data refuses it in its constructor: raise RecipeError("...") of '
        "pathfuse.errors. What it refuses is not checked."
    ]


def _bag_checks_in(example: Example, setting: Setting) -> tuple[Check, ...]:
    return bag_checks_of(example) if Trial(example, setting).bags else ()


def _run(example: Example, check: Check, setting: Setting, label: str) -> CheckResult:
    reason = example.failures.get(check.__name__)
    try:
        check(Trial(example, setting))
    except Exception as error:  # noqa: BLE001 - whatever a foreign component raises is the result
        status: Status = "expected failure" if reason else "failed"
        return CheckResult(example.name, check.__name__, label, status, reason or _line(error))
    if reason:
        return CheckResult(example.name, check.__name__, label, "unexpected pass", "remove it from known failures")
    return CheckResult(example.name, check.__name__, label, "passed")


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    first = text[0] if text else ""
    return first if isinstance(error, AssertionError) else f"{type(error).__name__}: {first}"
