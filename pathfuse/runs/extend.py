"""Going on with a run: with the same recipe, or for more epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pathfuse.errors import RunError
from pathfuse.recipes.compose import split_stages
from pathfuse.recipes.plain_yaml import Config
from pathfuse.runs.checkpoints import BEST, LAST
from pathfuse.runs.files import CHECKPOINTS, CONFIG, STAGES, VERSIONS
from pathfuse.runs.folder import RunFolder
from pathfuse.runs.sources import is_source

EPOCHS = "trainer.max_epochs"
FREE = ("logger", "trainer.enable_progress_bar", "loading.num_workers", "loading.pin_memory")
"""Keys that change nothing about what is trained."""


def extended_stages(run: RunFolder, config: Config, *, allowed: bool = True) -> dict[str, int]:
    """The stages that are to be trained for more epochs than before, with the new number.

    Where the cases lie may change, for their fingerprint is compared; everything else has to be as it was.

    Args:
        run: the run.
        config: the resolved recipe as it is asked for now.
        allowed: whether more epochs are; if not, they are a difference like any other.

    Raises:
        RunError: naming the first key that differs, or a finished stage that a later one stands on.
    """
    before, now = (split_stages(dict(one), "the recipe") for one in (run.config, config))
    more: dict[str, int] = {}
    for stage, own in now.items():
        saved, asked = flat(before.get(stage, {})), flat(own)
        for key in [*saved, *(key for key in asked if key not in saved)]:
            was, wanted = saved.get(key), asked.get(key)
            if was == wanted or is_source(key) or key.startswith(FREE):
                continue
            if not allowed or key != EPOCHS or not isinstance(was, int) or not isinstance(wanted, int) or wanted < was:
                more_said = f"More epochs can be added (--{EPOCHS} N); for the rest use" if allowed else "Use"
                raise RunError(
                    f"{run.path} was made with another recipe: {stage}: {key} was {was!r} and is {wanted!r}. "
                    f"{more_said} another --out."
                )
            more[stage] = wanted
    last = list(now)[-1]
    for stage in more:
        if stage != last and stage in run.complete():
            raise RunError(
                f"{run.path}: stage {stage} is complete and {last} stands on it. Give more epochs to the last stage "
                f"alone: --{last}.{EPOCHS} {more[stage]}."
            )
    return more


def extend(run: RunFolder, config_text: str, sha256: str, more: Mapping[str, int]) -> None:
    """Makes more epochs the run's own: its recipe says them, and the stages are no longer complete."""
    head = [line for line in run.text(CONFIG).splitlines() if line.startswith("#")]
    run.seal.drop(f"{CHECKPOINTS}/{stage}/{name}" for stage in more for name in (BEST, LAST))
    run.write_json(STAGES, {"complete": [stage for stage in run.complete() if stage not in more]})
    run.write_json(VERSIONS, {**run.versions, "recipe_sha256": sha256})
    run.write(CONFIG, "\n".join([*head, config_text]))


def flat(config: Any, prefix: str = "") -> dict[str, Any]:  # noqa: ANN401 - what a recipe says
    """Nested mappings as one, with dotted keys."""
    if not isinstance(config, dict) or not config:
        return {prefix: config}
    return {
        key: value
        for name, inner in config.items()
        for key, value in flat(inner, f"{prefix}.{name}" if prefix else str(name)).items()
    }
