"""Lines, functions and repeated runs of lines of Python files, read off their syntax trees."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

RUN = 6
"""Lines in a row that count as said twice."""
_BRANCHES = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case, ast.FunctionDef, ast.AsyncFunctionDef
)  # fmt: skip


@dataclass(frozen=True)
class Function:
    """A function or method.

    Attributes:
        name: its name.
        path: the file.
        line: where it begins.
        lines: from `def` to its last line, docstring and blank lines included.
        complexity: 1, and 1 for every if, loop, handler, case and function inside, as McCabe counts.
    """

    name: str
    path: Path
    line: int
    lines: int
    complexity: int


def functions(path: Path) -> Iterator[Function]:
    """The functions of a file, those inside others included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield Function(node.name, path, node.lineno, lines, complexity(node))


def complexity(function: ast.AST) -> int:
    """1, and 1 for every branch and for every function inside; the function itself is the 1."""
    return sum(isinstance(node, _BRANCHES) for node in ast.walk(function))


def code_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of code with their numbers: without blank lines, comments and docstrings, and without indentation."""
    text = path.read_text(encoding="utf-8")
    left_out = set(_docstring_lines(ast.parse(text)))
    parts: dict[int, list[str]] = defaultdict(list)
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            continue
        for number in range(token.start[0], token.end[0] + 1):
            parts[number].append(token.string)
    numbers = sorted(number for number in parts if number not in left_out and number <= len(lines))
    return [(number, _normal(lines[number - 1], parts[number])) for number in numbers]


def repeated_runs(paths: Iterable[Path], run: int = RUN) -> dict[tuple[str, ...], list[tuple[Path, int]]]:
    """Runs of lines of code that stand in more than one place, and where each begins; imports do not count.

    Args:
        paths: the files.
        run: lines in a row.
    """
    places: dict[tuple[str, ...], list[tuple[Path, int]]] = defaultdict(list)
    for path in paths:
        imports = set(_import_lines(ast.parse(path.read_text(encoding="utf-8"))))
        # A line of brackets alone says nothing, and would make one thing of two layouts.
        told = [(n, line) for n, line in code_lines(path) if n not in imports and any(map(str.isalnum, line))]
        for first in range(len(told) - run + 1):
            window = told[first : first + run]
            places[tuple(line for _, line in window)].append((path, window[0][0]))
    return {window: found for window, found in places.items() if len(found) > 1}


def _normal(line: str, tokens: list[str]) -> str:
    """The line without its comment and with single blanks."""
    comment = "#" in line and not any("#" in token for token in tokens)
    return " ".join((line.split("#")[0] if comment else line).split())


def _docstring_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            text = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield from range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)


def _import_lines(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)
