"""The file of a study, read strictly; and the studies that have a name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pathfuse.recipes.compose import DEMO, merge
from pathfuse.recipes.find import RecipeFile, find_named, shipped_files
from pathfuse.recipes.plain_yaml import read_yaml
from pathfuse.study.definition.explain import read_explain, refuse_unexplained
from pathfuse.study.definition.parts import read_cohorts, read_seeds, read_splits
from pathfuse.study.definition.report import read_report
from pathfuse.study.definition.strict import mapping, refuse_unknown
from pathfuse.study.definition.study import DEFAULT_SEED, Study
from pathfuse.study.definition.variants import read_variants

KEYS = ("variants", "grid", "grids", "cohorts", "splits", "seeds", "overrides", "explain", "report", "layers")


def read_study(path: Path, layers: Sequence[str] = ()) -> tuple[Study, tuple[str, ...]]:
    """Reads a study; returns it and the layers that are meant for its recipes: `demo`, and those it does not have.

    Args:
        path: the file.
        layers: layers to apply, in order; a layer of a study is a part of a study that is laid over it.

    Raises:
        RecipeError: naming the file, the place in it and the nearest known word.
    """
    config = read_yaml(path)
    refuse_unknown(config, KEYS, str(path), "key of a study")
    own = mapping(config.pop("layers", None), f"{path}: layers")
    for layer in layers:
        if layer in own:
            config = merge(config, mapping(own[layer], f"{path}: layers.{layer}"))
            refuse_unknown(config, KEYS[:-1], f"{path}: layers.{layer}", "key of a study")
    variants = read_variants(config, str(path))
    study = Study(
        path.stem,
        variants,
        read_seeds(config.get("seeds", [DEFAULT_SEED]), str(path)),
        read_splits(config.get("splits"), path),
        read_explain(config.get("explain"), f"{path}: explain"),
        read_cohorts(config, str(path)),
        read_report(
            config.get("report"),
            str(path),
            [variant.name for variant in variants],
            list(dict.fromkeys(axis for variant in variants for axis in variant.axes)),
        ),
    )
    refuse_unexplained(study.report, study.explain, str(path))
    return study, tuple(layer for layer in layers if layer == DEMO or layer not in own)


def has_layer(path: Path, layer: str) -> bool:
    """Whether a study has a layer of its own."""
    return layer in mapping(read_yaml(path).get("layers"), f"{path}: layers")


def study_files() -> list[RecipeFile]:
    """Every study that can be named; imports nothing."""
    return shipped_files("studies")


def find_study(name: str) -> Path:
    """The file behind a name, `origin:name`, or path.

    Raises:
        RecipeError: if there is none, with the nearest names.
    """
    return find_named(name, study_files(), "study", "`pathfuse study list` lists them.")
