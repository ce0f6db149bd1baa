"""Writing the page that fits a folder: of a run, a study or a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pathfuse.errors import RunError
from pathfuse.evaluate.compare.files import JSON, read_comparison
from pathfuse.evaluate.compare.findings import Comparison
from pathfuse.report.comparison_page import comparison_page
from pathfuse.report.render import write_page
from pathfuse.report.run.methods import methods
from pathfuse.report.run.page import run_page
from pathfuse.report.study_page import RUNS, study_page
from pathfuse.runs.files import PREDICTIONS
from pathfuse.runs.folder import RunFolder
from pathfuse.system.files import write_text

PAGE, METHODS = "report.html", "methods.md"


def write_report(
    folder: Path, out: Path | None = None, *, all_subsets: bool = False, by: Sequence[str] = ()
) -> list[Path]:
    """Writes the page that fits a folder: of a run, a study or a comparison; returns the paths of what was written.

    Args:
        folder: the folder.
        out: the page; None writes it into the folder.
        all_subsets: show also the combinations of stains that a model was never trained to be given.
        by: columns of the case table whose values get metrics of their own; without, the site.

    Raises:
        RunError: if the folder holds none of them, or files of it cannot be read.
    """
    if not folder.is_dir():
        raise RunError(f"{folder} is no folder. Name the folder of a run, a study or a comparison.")
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise RunError(f"--out {out}: a page is a file that ends in .html. Name one.")
    if (folder / RUNS).is_file():
        return write_study_report(folder, out, by=by)
    if (run := RunFolder(folder)).tested:
        run.refuse_replaced()
        return write_run_report(run, out, all_subsets=all_subsets, by=by)
    if (folder / JSON).is_file():
        return write_comparison_report(read_comparison(folder), out or folder / PAGE)
    raise RunError(
        f"{folder} holds no {PREDICTIONS} of a run, no {RUNS} of a study and no {JSON} of a comparison. Name a folder "
        "that `pathfuse fit`, `test`, `study` or `compare` wrote."
    )


def write_run_report(
    run: RunFolder, out: Path | None = None, *, all_subsets: bool = False, by: Sequence[str] = ()
) -> list[Path]:
    """Writes the page of a run, its JSON, and the methods paragraph.

    Args:
        run: its folder.
        out: the page; None writes it into the folder.
        all_subsets: show also the combinations of stains that the model was never trained to be given.
        by: columns of the case table whose values get metrics of their own; without, the site.
    """
    page = out or run.path / PAGE
    written = write_page(run_page(run, all_subsets=all_subsets, by=by), page)
    text = page.with_name(METHODS if out is None else f"{page.stem}_{METHODS}")
    write_text(text, methods(run))
    return [*written, text]


def write_comparison_report(comparison: Comparison, page: Path) -> list[Path]:
    """Writes the page of a comparison and its JSON."""
    return write_page(comparison_page(comparison), page)


def write_study_report(folder: Path, out: Path | None = None, *, by: Sequence[str] = ()) -> list[Path]:
    """Writes the page of a study and its JSON."""
    return write_page(study_page(folder, by=by), out or folder / PAGE)
