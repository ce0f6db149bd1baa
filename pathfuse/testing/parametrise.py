"""The kit in a plug-in's own tests: one line, one test per component and check."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pathfuse.errors import PluginError
from pathfuse.testing.by_slot import DECLARATIONS, Check, bag_checks_of, checks_of
from pathfuse.testing.example import Example, as_example
from pathfuse.testing.kit import accepted_settings
from pathfuse.testing.settings import Setting, settings_of
from pathfuse.testing.trial import Trial


class BoundCheck:
    """One check of one component, in all settings that the component accepts; call it to run it."""

    def __init__(self, example: Example, check: Check, settings: Callable[[], tuple[Setting, ...]]) -> None:
        self.example = example
        self.check = check
        self._settings = settings

    def __call__(self) -> None:
        """Runs the check."""
        if self.check in DECLARATIONS:
            self.check(Trial(self.example, settings_of(self.example)[0]))
            return
        trials = [Trial(self.example, setting) for setting in self._settings()]
        for trial in trials:
            if self.check in bag_checks_of(self.example) and not trial.bags:
                continue
            try:
                self.check(trial)
            except AssertionError as error:
                raise AssertionError(f"{self.example.name} ({trial.setting.name}): {error}") from error


def parametrize_with_checks(*components: type | Example) -> pytest.MarkDecorator:
    """Marks a test function that takes `check` and calls it: it then runs once per component and check.

    Args:
        components: classes, or examples of classes that need options.

    Raises:
        PluginError: if there is no component, or an expected failure names no check.
    """
    if not components:
        raise PluginError("parametrize_with_checks got no component, so no check would run. Pass a class.")
    parameters = [parameter for component in components for parameter in _parameters(as_example(component))]
    return pytest.mark.parametrize("check", parameters)


def _parameters(example: Example) -> list[object]:
    settings = _once(example)
    checks = (*checks_of(example), *(bag_checks_of(example) if _takes_bags(example, settings) else ()))
    unknown = set(example.failures) - {check.__name__ for check in checks}
    if unknown:
        raise PluginError(
            f"{example.name}: no check is called {', '.join(sorted(unknown))}. Correct its known failures."
        )
    return [
        pytest.param(
            BoundCheck(example, check, settings),
            id=f"{example.name}-{check.__name__}",
            marks=[pytest.mark.xfail(reason=example.failures[check.__name__], strict=True)]
            if check.__name__ in example.failures
            else [],
        )
        for check in checks
    ]


def _takes_bags(example: Example, settings: Callable[[], tuple[Setting, ...]]) -> bool:
    # Only where bags are possible at all: building may import timm, which collection need not wait for.
    if not bag_checks_of(example):
        return False
    try:
        return any(Trial(example, setting).bags for setting in settings())
    except Exception:  # noqa: BLE001 - every other check then fails with the reason
        return False


def _once(example: Example) -> Callable[[], tuple[Setting, ...]]:
    found: list[tuple[Setting, ...]] = []

    def settings() -> tuple[Setting, ...]:
        if not found:
            found.append(accepted_settings(example))
        return found[0]

    return settings
