"""Before anything trains: every recipe is parsed, every cohort read, and the folds are there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathfuse.cohort import Cohort
from pathfuse.cohort.table import Case
from pathfuse.data.contract import CaseData
from pathfuse.errors import PathfuseError, RecipeError, RunError
from pathfuse.recipes import compose, find_recipe
from pathfuse.recipes.compose import DEMO
from pathfuse.recipes.plain_yaml import Config, read_yaml
from pathfuse.study.definition.study import Options, Study, Variant
from pathfuse.study.jobs import Prepared
from pathfuse.training.plan import TrainingPlan

SPLITS = "splits.csv"
LAST = "last."


@dataclass(frozen=True)
class Variants:
    """The variants of a study, parsed, and what was read of their cohorts.

    Attributes:
        prepared: by name; of a study of several cohorts, in the first.
        cases: all cases of that cohort.
        notes: what should be known about them.
        cohorts: per cohort of the study, the fingerprint of its cases.
        sources: per cohort of the study, the cohort as the first variant reads it.
    """

    prepared: dict[str, Prepared]
    cases: list[Case]
    notes: list[str]
    cohorts: dict[str, str]
    sources: dict[str, Cohort]


def prepare_variants(study: Study, layers: Sequence[str]) -> Variants:
    """Parses every variant and reads every cohort once; of several cohorts, all but the first with one variant.

    Args:
        study: the study.
        layers: further layers, for the recipes that have them.

    Raises:
        RecipeError, PluginError, CaseTableError: for the first variant that cannot be trained.
    """
    cohorts: dict[str, CaseData] = {}
    prepared: dict[str, Prepared] = {}
    sources: dict[str, Cohort] = {}
    notes: list[str] = []
    cases: dict[str, Case] = {}
    first, *others = study.cohorts.items() or [("", ())]
    for variant in study.variants:
        prepared[variant.name], data, own_notes = _prepare(study, variant, layers, cohorts, first[1])
        notes += [note for note in own_notes if note not in notes]
        sources.setdefault(first[0], data[-1].cohort)
        for case in (case for own in data for case in own.cohort):
            known = cases.setdefault(case.case_id, case)
            if known.patient_id != case.patient_id:
                raise RunError(
                    f"{study.name}: case {case.case_id} belongs to patient {known.patient_id} in one variant and to "
                    f"{case.patient_id} in {variant.name}. Study one cohort at a time."
                )
    _refuse_unknown_layers(study, layers)
    prints = {first[0]: prepared[study.variants[0].name].cohort_sha256}
    for name, own in others:
        other, data, _ = _prepare(study, study.variants[0], layers, {}, own)
        prints[name], sources[name] = other.cohort_sha256, data[-1].cohort
    return Variants(prepared, list(cases.values()), notes, prints, sources)


def uses_demo(study: Study, layers: Sequence[str] = ()) -> bool:
    """Whether the variants run on the generated cohort, because nobody said where the cases are.

    Args:
        study: the study.
        layers: further layers, for the recipes that have them.

    Raises:
        RecipeError: if that is so for some of them only.
    """
    without = []
    for variant in study.variants:
        # What matters is the data alone; other options may name stages that only a recipe's layers have.
        first = next(iter(study.cohorts.values()), ())
        own = tuple((key, value) for key, value in (*variant.options, *first) if key.split(".")[0] == "cohort")
        files = tuple(find_recipe(name) for name in variant.recipes)
        if DEMO in compose(files, _layers(variant, files, layers), own).layers:
            without.append(variant.name)
    if without and len(without) < len(study.variants):
        raise RecipeError(
            f"{study.name}: variant {without[0]} has no data, but others have. Give it its own with "
            f"--{without[0]}.cohort.cases FILE."
        )
    return bool(without)


def _prepare(
    study: Study, variant: Variant, layers: Sequence[str], cohorts: dict[str, CaseData], cohort: Options
) -> tuple[Prepared, list[CaseData], list[str]]:
    try:
        return _read_variant(variant, layers, cohorts, cohort)
    except PathfuseError as error:
        raise type(error)(f"{study.name}, variant {variant.name}: {error}") from error


def _read_variant(
    variant: Variant, layers: Sequence[str], cohorts: dict[str, CaseData], cohort: Options
) -> tuple[Prepared, list[CaseData], list[str]]:
    """The variant in one cohort; the options that it is prepared with leave the cohort open."""
    files = tuple(find_recipe(name) for name in variant.recipes)
    own_layers = _layers(variant, files, layers)
    last = list(compose(files, own_layers, []).stages)[-1]
    said = [(_named(key, last), value) for key, value in variant.options]
    # A run of a study is one process on one device; runs side by side are the study's.
    devices = () if any(key.endswith("trainer.devices") for key, _ in said) else (("trainer.devices", "1"),)
    own = (*devices, *said)
    recipe = compose(files, own_layers, own)
    plan = TrainingPlan.parse(compose(files, own_layers, (*own, *cohort)) if cohort else recipe)
    config = plan.config()
    blocks = {
        name: [config.get(key) or config["stages"][name][key] for key in ("cohort", "data", "loading")]
        for name in plan.stages
    }
    data = [_read(plan, name, block, cohorts) for name, block in blocks.items()]
    fingerprint = hashlib.sha256("".join(own.fingerprint() for own in data).encode()).hexdigest()
    resolved = tuple(file.resolve() for file in files)
    return Prepared(resolved, recipe.layers, own, recipe, fingerprint), data, recipe.notes


def _read(plan: TrainingPlan, stage: str, block: Sequence[Config], cohorts: dict[str, CaseData]) -> CaseData:
    """The data of a stage, read once for all variants that have the same."""
    key = json.dumps(block, sort_keys=True, default=str)
    if key not in cohorts:
        cohorts[key] = plan.data_of(stage)
    return cohorts[key]


def _named(key: str, last: str) -> str:
    return f"{last}.{key.removeprefix(LAST)}" if key.startswith(LAST) else key


def _layers(variant: Variant, files: Sequence[Path], layers: Sequence[str]) -> tuple[str, ...]:
    """Its own, and those of the others that its recipe has."""
    return (*variant.layers, *(layer for layer in layers if _has_layer(files, layer)))


def _has_layer(files: Sequence[Path], layer: str) -> bool:
    return any(layer in (read_yaml(file).get("layers") or {}) for file in files)


def _refuse_unknown_layers(study: Study, layers: Sequence[str]) -> None:
    known: Mapping[str, None] = dict.fromkeys(
        layer
        for variant in study.variants
        for name in variant.recipes
        for layer in read_yaml(find_recipe(name)).get("layers") or {}
    )
    for layer in layers:
        if layer not in known:
            raise RecipeError(
                f"{study.name}: neither the study nor one of its recipes has a layer {layer!r}; the recipes have "
                f"{', '.join(known) or 'none'}."
            )
