"""Before anything trains: every recipe is parsed, every cohort read, and the folds are there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathfuse.cohort import Cohort
from pathfuse.cohort.folds.check import check_folds
from pathfuse.cohort.folds.draw import draw_folds
from pathfuse.cohort.folds.file import FoldRow, folds_text, read_folds
from pathfuse.cohort.folds.near_notes import near_notes
from pathfuse.cohort.table import Case
from pathfuse.data.contract import CaseData
from pathfuse.errors import PathfuseError, RecipeError, RunError
from pathfuse.recipes import compose, find_recipe
from pathfuse.recipes.compose import DEMO, Config, read_yaml
from pathfuse.study.file import DrawnSplits, Study, Variant
from pathfuse.study.jobs import Prepared
from pathfuse.system.files import write_text
from pathfuse.training.plan import Plan

SPLITS = "splits.csv"
LAST = "last."


@dataclass(frozen=True)
class FoldFile:
    """The folds of a study.

    Attributes:
        rows: every case in every split.
        text: the content of the file.
        notes: what should be known about them.
    """

    rows: tuple[FoldRow, ...]
    text: str
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the file."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def places(self) -> list[tuple[int, int]]:
        """Repeat and fold of every split."""
        return sorted({(row.repeat, row.fold) for row in self.rows})


def prepare_variants(study: Study, layers: Sequence[str]) -> tuple[dict[str, Prepared], list[Case], list[str]]:
    """Parses every variant and reads every cohort once.

    Args:
        study: the study.
        layers: further layers, for the recipes that have them.

    Returns:
        The variants by name, all cases of their cohorts, and notes.

    Raises:
        RecipeError, PluginError, CaseTableError: for the first variant that cannot be trained.
    """
    cohorts: dict[str, CaseData] = {}
    prepared: dict[str, Prepared] = {}
    notes: list[str] = []
    cases: dict[str, Case] = {}
    for variant in study.variants:
        try:
            prepared[variant.name], data, own_notes = _prepare(variant, layers, cohorts)
        except PathfuseError as error:
            raise type(error)(f"{study.name}, variant {variant.name}: {error}") from error
        notes += [note for note in own_notes if note not in notes]
        for case in (case for own in data for case in own.cohort):
            known = cases.setdefault(case.case_id, case)
            if known.patient_id != case.patient_id:
                raise RunError(
                    f"{study.name}: case {case.case_id} belongs to patient {known.patient_id} in one variant and to "
                    f"{case.patient_id} in {variant.name}. Study one cohort at a time."
                )
    _refuse_unknown_layers(study, layers)
    return prepared, list(cases.values()), notes


def make_splits(study: Study, cases: Sequence[Case]) -> FoldFile:
    """Reads the folds of a study, or draws them for its cases.

    Raises:
        CaseTableError: if they do not fit the cases, or cannot be drawn.
    """
    if isinstance(study.splits, DrawnSplits):
        own = study.splits
        folds = draw_folds(
            cases,
            folds=own.folds,
            repeats=own.repeats,
            seed=own.seed,
            val_fraction=own.val_fraction,
            group=own.group,
            site=own.site,
            stratify=own.stratify,
        )
        notes = (*folds.notes, *near_notes(cases, Cohort().cache_folder, folds.rows))
        return FoldFile(folds.rows, folds_text(folds.rows), notes)
    rows = tuple(read_folds(study.splits))
    if any(row.inner for row in rows):
        raise RunError(f"{study.splits} has inner folds, which a study does not train. Draw it without --nested.")
    known = {case.case_id for case in cases}
    used = [row for row in rows if row.case_id in known]
    notes = (*check_folds(used, cases), *near_notes(cases, Cohort().cache_folder, used))
    return FoldFile(rows, study.splits.read_text(encoding="utf-8"), notes)


def keep_splits(out: Path, folds: FoldFile) -> Path:
    """Writes the folds to the folder of the study.

    Raises:
        RunError: if the folder holds other folds already.
    """
    path = out / SPLITS
    if path.is_file() and path.read_text(encoding="utf-8") != folds.text:
        raise RunError(f"{path} holds other folds than this study's. Choose another --out, or restore the splits.")
    if not path.is_file():
        write_text(path, folds.text)
    return path


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
        own = tuple((key, value) for key, value in variant.options if key.split(".")[0] == "cohort")
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
    variant: Variant, layers: Sequence[str], cohorts: dict[str, CaseData]
) -> tuple[Prepared, list[CaseData], list[str]]:
    files = tuple(find_recipe(name) for name in variant.recipes)
    own_layers = _layers(variant, files, layers)
    last = list(compose(files, own_layers, []).stages)[-1]
    said = [(_named(key, last), value) for key, value in variant.options]
    # A run of a study is one process on one device; runs side by side are the study's.
    devices = () if any(key.endswith("trainer.devices") for key, _ in said) else (("trainer.devices", "1"),)
    own = (*devices, *said)
    recipe = compose(files, own_layers, own)
    plan = Plan.parse(recipe)
    config = plan.config()
    blocks = {
        name: [config.get(key) or config["stages"][name][key] for key in ("cohort", "data", "loading")]
        for name in plan.stages
    }
    data = [_read(plan, name, block, cohorts) for name, block in blocks.items()]
    fingerprint = hashlib.sha256("".join(own.fingerprint() for own in data).encode()).hexdigest()
    resolved = tuple(file.resolve() for file in files)
    return Prepared(resolved, recipe.layers, own, recipe, fingerprint), data, recipe.notes


def _read(plan: Plan, stage: str, block: Sequence[Config], cohorts: dict[str, CaseData]) -> CaseData:
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
