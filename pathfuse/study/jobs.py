"""The runs of a study: every variant with every seed on every fold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathfuse.recipes.compose import Recipe
from pathfuse.study.explaining import ExplainStep
from pathfuse.study.file import Options, Study
from pathfuse.system.shards import shard

FOLDS = "cohort.folds"


@dataclass(frozen=True)
class Job:
    """One run, as a worker process needs it.

    Attributes:
        variant: name of the variant.
        seed: of the run.
        repeat: of the folds.
        fold: of that repeat.
        recipes: recipe files, laid over each other.
        layers: layers of the recipe.
        options: command-line pairs.
        folder: the run folder.
        sha256: of everything that the run depends on.
        explain: how it is explained after its test; None for not at all.
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

    @property
    def name(self) -> str:
        """The run in messages, and its folder below the study's."""
        return run_name(self.variant, self.seed, self.repeat, self.fold)

    @property
    def splits(self) -> Path:
        """The file of folds, in the folder of the study."""
        return Path(dict(self.options)[FOLDS])


def run_name(variant: str, seed: int, repeat: int, fold: int) -> str:
    """The folder of a run below the study's. Folds lie below their variant, where `pathfuse compare` looks for them."""
    return f"{variant}/seed{seed}/r{repeat}f{fold}"


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


def jobs_of(
    study: Study,
    prepared: Mapping[str, Prepared],
    places: Sequence[tuple[int, int]],
    *,
    splits: Path,
    splits_sha256: str,
    out: Path,
) -> list[Job]:
    """All runs: fold by fold, so that a variant can be compared with the others early.

    Args:
        study: the study.
        prepared: its variants, by name.
        places: repeat and fold of every split.
        splits: the file of folds.
        splits_sha256: of that file.
        out: the folder of the study.
    """
    jobs = []
    for repeat, fold in places:
        for seed in study.seeds:
            for name, variant in prepared.items():
                own = (("seed", str(seed)), ("loading.seed", str(seed)))
                where = ((FOLDS, str(splits)), ("cohort.repeat", str(repeat)), ("cohort.fold", str(fold)))
                folder = out / run_name(name, seed, repeat, fold)
                sha256 = _sha256(variant, (*own, *where[1:]), splits_sha256)
                options = (*variant.options, *own, *where)
                step = study.explain if study.explain and study.explain.reaches(name) else None
                recipes = variant.recipes, variant.layers
                jobs.append(Job(name, seed, repeat, fold, *recipes, options, folder, sha256, step))
    return jobs


def shard_of(jobs: Sequence[Job], text: str) -> list[Job]:
    """The runs of a shard `i/n`, in the order of all.

    Raises:
        RecipeError: if the text is not two whole numbers with 1 <= i <= n.
    """
    # By variant, so that each shard gets as many of the slow ones as another.
    mine = set(shard(sorted(jobs, key=lambda job: (job.variant, job.seed, job.repeat, job.fold)), text))
    return [job for job in jobs if job in mine]


def _sha256(variant: Prepared, options: Options, splits_sha256: str) -> str:
    # The place of the file of folds does not matter, its content does.
    parts = [variant.composed.stages, variant.composed.overrides, options, splits_sha256, variant.cohort_sha256]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
