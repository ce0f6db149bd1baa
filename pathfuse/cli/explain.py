"""`pathfuse explain RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console

from pathfuse.cli.chosen import choose_run
from pathfuse.cli.text import COMMANDS
from pathfuse.cli.train import prepare_lightning
from pathfuse.cli.values import mapping
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError

HELP = """
--explainer NAME   of images: a component of slot explainer, with its options as --explainer.KEY VALUE (GradCAM);
                   of bags there is no choice: the attention of the model itself is shown
--case_ids IDS     cases that get pictures and tables, separated by commas (all of them)
--part NAME        test, val, train or all: the cases that are explained (test)
--cases PATH       other cases, all of which are explained; with --stores where features lie elsewhere
--slides DIR       of bags: the folder of the slides, over which the maps are laid; or per stain, '{he: DIR, ihc: DIR}'
--out DIR          where pictures, tables and explain.json go"""


def explain(words: list[str]) -> int:
    """Writes pictures of where a run looked, and figures that say how far they can be believed."""
    line = Words.split(words)
    if line.has("help") or not words:
        print(f"usage: {COMMANDS['explain'].usage}\n\n{COMMANDS['explain'].about}\n{HELP}")
        return 0
    prepare_lightning()
    from pathfuse.runs.folder import RunFolder
    from pathfuse.training.explain import explain_run, make_explainer

    out, wanted, part = line.take("out"), line.take("case_ids"), line.take("part") or "test"
    if part not in ("train", "val", "test", "all"):
        raise RecipeError(f"--part {part} is unknown; write train, val, test or all.")
    name = line.take("explainer")
    said = line.take("slides")
    prefix = "explainer."
    keys = [key for key, _ in line.options if key.startswith(prefix)]
    options = {key.removeprefix(prefix): line.take(key) or "" for key in keys}
    explainer = make_explainer(name or "GradCAM", options) if name or options else None
    chosen = choose_run(line)
    folder = Path(out) if out else chosen.folder / f"explain_{datetime.now():%Y-%m-%d_%H-%M-%S}"
    slides = None if said is None else _slides(said, chosen.plan.specs[chosen.plan.last].names)
    pictures = None if wanted is None else wanted.split(",")
    with RunFolder.claim(folder):
        explain_run(chosen.plan, chosen.checkpoint, explainer, part, folder, pictures, Console(), slides=slides)
    return 0


def _slides(text: str, stains: Sequence[str]) -> dict[str, Path]:
    """One folder for every stain, or a folder each."""
    if text.lstrip().startswith("{"):
        return {name: Path(str(folder)) for name, folder in mapping("slides", text).items()}
    return dict.fromkeys(stains, Path(text))
