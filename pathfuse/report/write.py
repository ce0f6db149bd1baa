"""Which page a folder gets, and where it is written."""

from __future__ import annotations

from pathlib import Path

from pathfuse.errors import RunError
from pathfuse.files import write_text
from pathfuse.report.methods import methods
from pathfuse.report.render import write_page
from pathfuse.report.run_files import RunFiles
from pathfuse.report.run_page import run_page

PAGE, METHODS = "report.html", "methods.md"


def write_run_report(folder: Path, out: Path | None = None) -> list[Path]:
    """Writes the page of a run, its JSON and the methods paragraph; returns their paths.

    Args:
        folder: the run.
        out: the page; None writes `report.html` into the folder.

    Raises:
        RunError: if the folder holds no run, or files of it cannot be read.
    """
    run = RunFiles.open(folder)
    page = out or folder / PAGE
    if page.suffix.lower() not in (".html", ".htm"):
        raise RunError(f"--out {page}: a page is a file that ends in .html. Name one.")
    written = write_page(run_page(run), page)
    text = page.with_name(METHODS if out is None else f"{page.stem}_{METHODS}")
    write_text(text, methods(run))
    return [*written, text]
