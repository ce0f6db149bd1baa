"""The guard of a script that starts processes: without it, each of them runs the whole script again."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import FrameType

from pathfuse.errors import RecipeError


def require_main_guard() -> None:
    """Refuses to start processes from a script that would start them again in every one of them.

    A process that is spawned imports the script that runs. Lines outside of `if __name__ == "__main__":` are then run
    again, and wait for processes that wait for them.

    Raises:
        RecipeError: naming the script and the line.
    """
    frame = _of_script()
    if frame is None:
        return
    path, line = Path(frame.f_code.co_filename), frame.f_lineno
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # no script that a process could import either
        return
    if not _guarded(tree, line):
        raise RecipeError(
            f"{path} line {line} starts processes, and each would run the script again. Put it under `if __name__ == "
            '"__main__":`.'
        )


def _of_script() -> FrameType | None:
    """The outermost frame of the script that runs, if there is one that a process would import."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if main is None or file is None or getattr(main, "__spec__", None) is not None:  # `python -m` guards by itself
        return None
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals is vars(main):
            return frame
        frame = frame.f_back
    return None


def _guarded(tree: ast.Module, line: int) -> bool:
    """Whether a line stands in an `if` that asks for `__name__`."""
    return any(
        isinstance(node, ast.If)
        and node.body[0].lineno <= line <= (node.body[-1].end_lineno or 0)
        and any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))
        for node in tree.body
    )
