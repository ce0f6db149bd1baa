"""Training in one call, for notebooks and scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from pathfuse.inference.model import TrainedModel, as_word, load
from pathfuse.recipes import compose, find_recipe
from pathfuse.training.speaking import prepare_lightning


def fit(
    recipe: str | Path,
    *,
    cases: str | Path | None = None,
    stores: Mapping[str, str | Path] | None = None,
    label: str | None = None,
    folds: str | Path | None = None,
    out: str | Path | None = None,
    layers: Sequence[str] = (),
    resume: str | Path | None = None,
    quiet: bool = False,
    **overrides: object,
) -> TrainedModel:
    """Trains and tests a recipe, as `pathfuse fit` does, and returns the trained model.

    Args:
        recipe: a recipe by name or file.
        cases: a case table, a label table or a folder of images; None is the demo cohort.
        stores: with a label table, the folder of features of each stain.
        label: the column of labels, where it has no usual name.
        folds: a file of folds; `cohort__fold` says which.
        out: the run folder; None makes `runs/<recipe>/<time>`.
        layers: layers of the recipe.
        resume: the run folder to go on with, instead of `out`.
        quiet: print nothing.
        **overrides: further options, by their names with `__` for a point, such as `trainer__max_epochs=3`.

    Raises:
        PathfuseError: before anything is trained, for whatever cannot be used.
    """
    prepare_lightning()
    from pathfuse.training.fit import fit as train

    said: list[tuple[str, str]] = []
    for key, value in (("cases", cases), ("folds", folds)):
        said += [] if value is None else [(f"cohort.{key}", str(value))]
    if stores is not None:
        said.append(("cohort.stores", json.dumps({name: str(folder) for name, folder in stores.items()})))
    if label is not None:
        said.append(("cohort.columns", json.dumps({"label": label})))
    said += [(key.replace("__", "."), as_word(value)) for key, value in overrides.items()]
    composed = compose([find_recipe(str(recipe))], list(layers), said)
    where = None if out is None else Path(out)
    run = train(composed, where, None if resume is None else Path(resume), Console(quiet=quiet))
    return load(run.path)
