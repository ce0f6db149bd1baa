"""The front door: finds the command and hands it the rest of the line. Nothing heavy is imported to print help."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper

from pathfuse.cli.text import COMMANDS, OVERVIEW
from pathfuse.errors import MachineError, PathfuseError, RecipeError, did_you_mean
from pathfuse.system.machine import machine_fault

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """The console script `pathfuse`; returns its exit status."""
    if (closed := _open_streams()) is not None:
        return closed
    words = list(sys.argv[1:] if argv is None else argv)
    return _to_the_end(lambda: _answered(words))


def _answered(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(OVERVIEW)
        return 0
    if words[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(f"pathfuse {version('pathfuse')}")
        return 0
    return run(words[0], words[1:])


def run(name: str, words: list[str]) -> int:
    """Runs one command; errors of the user are one line, never a traceback."""
    try:
        if set(words) & {"--help", "-h", "--help=all"} and name in COMMANDS:
            return show_help(name, words)
        return command(name)(words)
    except PathfuseError as error:
        if isinstance(error, RecipeError) and name in COMMANDS:
            print(f"usage: {COMMANDS[name].usage}", file=sys.stderr)
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:  # a fault of a program keeps its traceback, for whoever wrote it
        from pathfuse.registry.faults.blame import blamed

        if said := blamed(error):
            error.add_note(said)
        raise
    except KeyboardInterrupt as error:
        print(str(error) or "stopped", file=sys.stderr)
        return INTERRUPTED


def _to_the_end(work: Callable[[], int]) -> int:
    """Does it and writes out what it printed; what the machine refuses is one line."""
    try:
        status = work()
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _silence()  # `pathfuse recipes | head` closes the pipe early, which is no error
        return 0
    except (OSError, RuntimeError, MemoryError, UnicodeEncodeError) as error:
        said = machine_fault(error)
        if said is None:
            raise
        _silence()
        print(f"error: {said}", file=sys.stderr)
        return MachineError.exit_code


def _silence() -> None:
    """Whatever is left of the output goes nowhere, or Python would try, and fail, to write it at the very end."""
    with suppress(OSError, ValueError):  # no file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_streams() -> int | None:
    """Refuses to work with standard output closed: the first file that is opened would become it, and be printed into.

    Returns:
        The exit status; None where all is well.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error: a file may be called by no text at all
    if sys.stdout is not None:
        return None
    print("error: standard output is closed. Send it to a file, or to /dev/null.", file=sys.stderr)
    return MachineError.exit_code


def show_help(name: str, words: list[str]) -> int:
    """The help of a command at eighty columns, with its examples."""
    from contextlib import redirect_stdout
    from io import StringIO

    from pathfuse.cli.help.lines import WIDTH, with_examples

    os.environ["COLUMNS"] = str(WIDTH)  # what argparse breaks its lines at
    with redirect_stdout(StringIO()) as text:
        status = command(name)(words)
    print(with_examples(name, text.getvalue()))
    return status


def command(name: str) -> Callable[[list[str]], int]:
    """The function behind a command.

    Raises:
        RecipeError: for an unknown one, with the nearest.
    """
    if name not in COMMANDS:
        raise RecipeError(f"{name!r} is no command.{did_you_mean(name, COMMANDS)} `pathfuse --help` lists all of them.")
    module, function = COMMANDS[name].target.split(":")
    found: Callable[[list[str]], int] = getattr(import_module(module), function)
    return found
