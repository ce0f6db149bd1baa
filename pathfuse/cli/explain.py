"""`pathfuse explain RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console

from pathfuse.cli.chosen import choose_run
from pathfuse.cli.text import print_help
from pathfuse.cli.values import mapping
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError, did_you_mean

HELP = """
--explainer NAME   a component of slot explainer, with its options as --explainer.KEY VALUE; may be repeated
                   (what the model asks for, or Attention for bags, GradCAM for images)
--target NAME      the class that is explained: predicted, label, or the name of a class (predicted)
--layer NAME       where GradCAM and GuidedGradCAM read their map: a module of the model (as the encoder says)
--case_ids IDS     cases that get pictures and files, separated by commas (all of them)
--alone            explain the cases of --case_ids alone, which is fast; the figures are of them, too
--part NAME        test, val, train or all: the cases that are explained (test)
--cases PATH       other cases, all of which are explained; with --stores where features lie elsewhere
--slides DIR       of bags: the folder of the slides, over which the maps are laid; or per stain, '{he: DIR, ihc: DIR}'
--faithfulness     measure how far the maps can be believed; takes many more passes
--out DIR          where pictures, tables, explain.json and explain.html go"""


def explain(words: list[str]) -> int:
    """Writes pictures of where a run looked, and figures that say how far they can be believed."""
    line = Words.split(words)
    if line.has("help") or not words:
        return print_help("explain", HELP)
    from pathfuse.inference.explain import Asked, explain_run
    from pathfuse.inference.speaking import hush
    from pathfuse.runs.folder import RunFolder

    hush()

    out, wanted, part = line.take("out"), line.take("case_ids"), line.take("part") or "test"
    if part not in ("train", "val", "test", "all"):
        raise RecipeError(f"--part {part} is unknown; write train, val, test or all.")
    names, said, target = line.take_all("explainer"), line.take("slides"), line.take("target") or "predicted"
    believed, alone = (line.take(word) is not None for word in ("faithfulness", "alone"))
    if alone and wanted is None:
        raise RecipeError("--alone is of the cases that --case_ids names. Name them.")
    options = _options(line)
    own = bool(line.positional) and not any("cohort" in key or key in ("cases", "stores") for key, _ in line.options)
    chosen = choose_run(line)
    folder = Path(out) if out else chosen.folder / f"explain_{datetime.now():%Y-%m-%d_%H-%M-%S}"
    asked = Asked(
        names,
        options,
        target,
        part,
        None if wanted is None else wanted.split(","),
        alone,
        None if said is None else _slides(said, chosen.plan.specs[chosen.plan.last].names),
        believed,
        chosen.folder if own else None,
    )
    with RunFolder.claim(folder):
        explain_run(chosen.plan, chosen.checkpoint, asked, folder, Console())
    return 0


def _options(line: Words) -> dict[str, str]:
    """Options of the explainers, of which `--layer` is the short word for one."""
    prefix = "explainer."
    keys = [key for key, _ in line.options if key.startswith(prefix)]
    options = {key.removeprefix(prefix): line.take(key) or "" for key in keys}
    layer = line.take("layer")
    return options if layer is None else {**options, "layer": layer}


def _slides(text: str, stains: Sequence[str]) -> dict[str, Path]:
    """One folder for every stain, or a folder each."""
    if text.lstrip().startswith("{"):
        folders = {name: Path(str(folder)) for name, folder in mapping("slides", text).items()}
        if unknown := sorted(set(folders) - set(stains)):
            guess = did_you_mean(unknown[0], stains)
            raise RecipeError(f"--slides names {unknown[0]!r}, and this run has {', '.join(stains)}.{guess}")
        return folders
    return dict.fromkeys(stains, Path(text))
