"""The front door: finds the command and hands it the rest of the line. Nothing heavy is imported to print help."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from pathfuse.cli.text import COMMANDS, OVERVIEW
from pathfuse.errors import PathfuseError, RecipeError, did_you_mean

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """The console script `pathfuse`; returns its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
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
    except KeyboardInterrupt as error:
        print(str(error) or "stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # `pathfuse recipes | head` closes the pipe early, which is no error; stdout must not be flushed again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


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
