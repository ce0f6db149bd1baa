"""A study: variants of recipes, folds, seeds, cohorts, and what is reported."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pathfuse.study.definition.explain import ExplainStep
from pathfuse.study.definition.report import Report
from pathfuse.study.definition.strict import refuse_unknown

Options = tuple[tuple[str, str], ...]

DEFAULT_SEED = 7


@dataclass(frozen=True)
class Variant:
    """One way of training that a study compares.

    Attributes:
        name: the folder of its runs, and what tables call it.
        recipes: names or files, laid over each other.
        layers: layers of the recipe.
        options: command-line pairs, without dashes; `last.` stands for the last stage of the recipe.
        subset: the stains whose predictions stand in tables and figures; empty takes all that the models were given in
            training.
        axes: its place in the grid, by axis.
    """

    name: str
    recipes: tuple[str, ...]
    layers: tuple[str, ...] = ()
    options: Options = ()
    subset: str = ""
    axes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DrawnSplits:
    """Folds that are drawn for the cohort of the study; the attributes are those of `draw_folds`.

    Attributes:
        leave_out: a column, such as `site`, each of whose values is tested as a fold of its own; `folds`, `repeats` and
            the columns are then not asked for.
    """

    folds: int = 5
    repeats: int = 1
    seed: int = 0
    val_fraction: float = 0.2
    group: str = "patient_id"
    site: str | None = None
    stratify: str = "label"
    leave_out: str | None = None


@dataclass(frozen=True)
class Study:
    """Everything that a study does.

    Attributes:
        name: of the file.
        variants: what is compared.
        seeds: of weights, order and augmentation; every fold is trained with each.
        splits: a file of folds, how they are drawn, or None for the parts that the cohort comes with.
        explain: the runs that are explained after their test; None explains none.
        cohorts: options of every cohort, by name; every variant is trained in each. Empty is the one of the recipes.
        report: what is written at the end.
    """

    name: str
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...] = (DEFAULT_SEED,)
    splits: Path | DrawnSplits | None = field(default_factory=DrawnSplits)
    explain: ExplainStep | None = None
    cohorts: Mapping[str, Options] = field(default_factory=dict)
    report: Report = field(default_factory=Report)


def with_options(study: Study, options: Options) -> Study:
    """The study with command-line pairs laid over its variants; they win.

    Args:
        study: the study.
        options: pairs without dashes; `VARIANT.key` reaches one variant, or several if the name has a star, and any
            other all of them.
    """
    names = [variant.name for variant in study.variants]
    added: dict[str, Options] = {name: () for name in names}
    for key, value in options:
        first, _, rest = key.partition(".")
        named = fnmatch.filter(names, first) if rest else []
        for name in named or names:
            added[name] += ((rest if named else key, value),)
    variants = tuple(replace(own, options=own.options + added[own.name]) for own in study.variants)
    return replace(study, variants=variants)


def with_only(study: Study, names: Sequence[str]) -> Study:
    """The study with some of its variants.

    Args:
        study: the study.
        names: of variants, a star for several; empty leaves all.

    Raises:
        RecipeError: if one fits none.
    """
    known = [variant.name for variant in study.variants]
    for name in names:
        if not fnmatch.filter(known, name):
            refuse_unknown([name], known, "--only", "variant of the study")
    wanted = {found for name in names for found in fnmatch.filter(known, name)}
    return replace(study, variants=tuple(own for own in study.variants if own.name in wanted)) if names else study
