"""`pathfuse report` and `pathfuse export`: results as a page, as the files of another tool, and a model to hand on."""

from __future__ import annotations

from pathlib import Path

from pathfuse.cli.text import print_help
from pathfuse.cli.values import one_of
from pathfuse.cli.words import Words
from pathfuse.errors import RecipeError

TARGETS = ("stamp", "folder")


def report(words: list[str]) -> int:
    """Writes the page of a folder."""
    line = Words.split(words)
    if line.has("help") or not words:
        return print_help("report")
    out, every = line.take("out"), line.take("all-subsets") is not None
    by = [name for value in line.take_all("by") for name in value.split(",") if name]
    if len(line.positional) != 1:
        raise RecipeError("name one folder: of a run, a study or a comparison.")
    folder = Path(line.positional.pop())
    line.finish()
    from pathfuse.report.write import write_report

    for path in write_report(folder, Path(out) if out else None, all_subsets=every, by=by):
        print(path)
    return 0


def export(words: list[str]) -> int:
    """Writes the test predictions of a run as another tool writes its own, or the trained model as a folder."""
    line = Words.split(words)
    if line.has("help") or not words:
        return print_help("export")
    to = one_of("to", line.take("to") or "nothing", TARGETS)
    out, given = line.take("out"), line.take("given")
    label = line.take("label")
    if len(line.positional) != 1:
        raise RecipeError("name one folder: of a run, or of the runs of all folds.")
    if out is None:
        raise RecipeError("say with --out DIR where the files go.")
    folder = Path(line.positional.pop())
    line.finish()
    if to == "folder":
        return _export_model(folder, Path(out))
    from pathfuse.evaluate.compare.run import read_runs
    from pathfuse.evaluate.stamp.write import export_stamp

    (run,) = read_runs([folder])
    unlabelled = sum(fold.predictions.unlabelled for fold in run.folds)
    for path, fold, patients in export_stamp(run, Path(out), label="label" if label is None else label, given=given):
        print(f"{path}: {patients} patients tested by {fold}")
    if unlabelled:
        print(f"{unlabelled} predictions without a label are left out.")
    return 0


def _export_model(folder: Path, out: Path) -> int:
    from pathfuse.report.model_folder import export_model
    from pathfuse.runs.folder import RunFolder

    for path in export_model(RunFolder.open(folder), out):
        print(path)
    return 0
