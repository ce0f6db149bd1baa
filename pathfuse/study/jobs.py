"""The runs of a study: every variant with every seed on every fold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathfuse.recipes.compose import Recipe
from pathfuse.study.definition.explain import ExplainStep
from pathfuse.study.definition.study import Options, Study
from pathfuse.system.shards import shard

FOLDS = "cohort.folds"


@dataclass(frozen=True)
class Job:
    """One run, as a worker process needs it.

    Attributes:
        variant: name of the variant.
        seed: of the run.
        repeat: of the folds; of a study of several cohorts, the number of the cohort, from 0.
        fold: of that repeat.
        recipes: recipe files, laid over each other.
        layers: layers of the recipe.
        options: command-line pairs.
        folder: the run folder.
        sha256: of everything that the run depends on.
        explain: how it is explained after its test; None for not at all.
        cohort: its name; empty where the study has one.
    """

    variant: str
    seed: int
    repeat: int
    fold: int
    recipes: tuple[Path, ...]
    layers: tuple[str, ...]
    options: Options
    folder: Path
    sha256: str
    explain: ExplainStep | None = None
    cohort: str = ""

    @property
    def name(self) -> str:
        """The run in messages, and its folder below the study's."""
        return run_name(self.variant, self.seed, self.repeat, self.fold, self.cohort)

    @property
    def splits(self) -> Path | None:
        """The file of folds, in the folder of the study; None where the parts are those of the cohort."""
        said = dict(self.options).get(FOLDS)
        return None if said is None else Path(said)


def run_name(variant: str, seed: int, repeat: int, fold: int, cohort: str = "") -> str:
    """The folder of a run below the study's. Folds lie below their variant, where `pathfuse compare` looks for them."""
    return f"{variant}/seed{seed}/{cohort or f'r{repeat}f{fold}'}"


@dataclass(frozen=True)
class Prepared:
    """A variant whose recipe was found and parsed.

    Attributes:
        recipes: recipe files.
        layers: layers that are applied.
        options: command-line pairs that all its runs share.
        composed: the recipe they make.
        cohort_sha256: fingerprint of its cases.
    """

    recipes: tuple[Path, ...]
    layers: tuple[str, ...]
    options: Options
    composed: Recipe
    cohort_sha256: str


@dataclass(frozen=True)
class Place:
    """Where a variant is trained: a fold, or a cohort with its own parts.

    Attributes:
        repeat: of the folds, or the number of the cohort.
        fold: of that repeat.
        options: pairs that say so.
        sha256: of the folds, or of the cases of the cohort.
        cohort: its name; empty where the study has one.
    """

    repeat: int
    fold: int
    options: Options
    sha256: str
    cohort: str = ""


def fold_places(places: Sequence[tuple[int, int]], splits: Path, splits_sha256: str) -> list[Place]:
    """A place for every repeat and fold.

    Args:
        places: repeat and fold of every split.
        splits: the file of folds.
        splits_sha256: of that file.
    """
    return [
        Place(
            repeat,
            fold,
            ((FOLDS, str(splits)), ("cohort.repeat", str(repeat)), ("cohort.fold", str(fold))),
            splits_sha256,
        )
        for repeat, fold in places
    ]


def cohort_places(cohorts: Mapping[str, Options], fingerprints: Mapping[str, str]) -> list[Place]:
    """A place for every cohort; a single one for a study that has none of its own.

    Args:
        cohorts: options of each, by name.
        fingerprints: of the cases of each.
    """
    if not cohorts:
        return [Place(0, 0, (), "")]
    return [Place(number, 0, own, fingerprints[name], name) for number, (name, own) in enumerate(cohorts.items())]


def jobs_of(study: Study, prepared: Mapping[str, Prepared], places: Sequence[Place], *, out: Path) -> list[Job]:
    """All runs: place by place, so that a variant can be compared with the others early.

    Args:
        study: the study.
        prepared: its variants, by name.
        places: where each is trained.
        out: the folder of the study.
    """
    jobs = []
    for place in places:
        for seed in study.seeds:
            for name, variant in prepared.items():
                own = (("seed", str(seed)), ("loading.seed", str(seed)))
                folder = out / run_name(name, seed, place.repeat, place.fold, place.cohort)
                # The place of the file of folds does not matter, its content does.
                told = tuple(pair for pair in place.options if pair[0] != FOLDS)
                sha256 = _sha256(variant, (*own, *told), place.sha256)
                options = (*variant.options, *own, *place.options)
                step = study.explain if study.explain and study.explain.reaches(name) else None
                where = place.repeat, place.fold, variant.recipes, variant.layers
                jobs.append(Job(name, seed, *where, options, folder, sha256, step, place.cohort))
    return jobs


def shard_of(jobs: Sequence[Job], text: str) -> list[Job]:
    """The runs of a shard `i/n`, in the order of all.

    Raises:
        RecipeError: if the text is not two whole numbers with 1 <= i <= n.
    """
    # By variant, so that each shard gets as many of the slow ones as another.
    mine = set(shard(sorted(jobs, key=lambda job: (job.variant, job.seed, job.repeat, job.fold)), text))
    return [job for job in jobs if job in mine]


def _sha256(variant: Prepared, options: Options, place_sha256: str) -> str:
    parts = [variant.composed.stages, variant.composed.overrides, options, place_sha256, variant.cohort_sha256]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
