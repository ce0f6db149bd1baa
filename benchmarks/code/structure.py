"""The house in figures: its size, its rooms and its arrows, before and after.

`python -m benchmarks.code.structure [TREE] [--against TREE] [--names]` prints a table in Markdown. TREE is a checkout;
without it, this one. Nothing is imported: all is read off the syntax trees.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.code.code_size import code_lines, functions, repeated_runs
from benchmarks.code.import_graph import arrows, circles, folder_sizes, module_graph, python_files, room_graph

LONG_LINES, MANY_BRANCHES, MANY_FILES = 40, 10, 16


def figures(root: Path) -> dict[str, int]:
    """Every measure of a checkout by its name."""
    files = python_files(root)
    lengths = [len(path.read_text(encoding="utf-8").splitlines()) for path in files if path.name != "__init__.py"]
    modules, folders = module_graph(root), folder_sizes(root)
    rooms = room_graph(modules)
    every = [one for path in files for one in functions(path)]
    return {
        "files": len(files),
        "lines": sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files),
        "lines of code (no blank line, comment or docstring)": sum(len(code_lines(path)) for path in files),
        "lines of a file, median": round(median(lengths)),
        "lines of the largest file": max(lengths),
        "folders of the framework": len(folders),
        "files of its largest folder": max(folders.values()),
        f"its folders of more than {MANY_FILES} files": sum(size > MANY_FILES for size in folders.values()),
        "rooms": len(rooms),
        "arrows between modules": arrows(modules),
        "arrows between rooms": arrows(rooms),
        "circles of modules": len(circles(modules)),
        "modules in circles": sum(map(len, circles(modules))),
        "circles of rooms": len(circles(rooms)),
        "rooms in circles": sum(map(len, circles(rooms))),
        "functions": len(every),
        "lines of a function, median": round(median(one.lines for one in every)),
        f"functions of more than {LONG_LINES} lines": sum(one.lines > LONG_LINES for one in every),
        f"functions above complexity {MANY_BRANCHES}": sum(one.complexity > MANY_BRANCHES for one in every),
        "runs of six lines that stand twice": len(repeated_runs(files)),
    }


def table(after: Mapping[str, int], before: Mapping[str, int] | None = None) -> str:
    """The figures as Markdown; with two trees also the change."""
    heads = ["", "before", "after", "change"] if before else ["", "now"]
    rows = [
        [name, f"{before[name]:,}", f"{value:,}", _change(before[name], value)] if before else [name, f"{value:,}"]
        for name, value in after.items()
    ]
    rule = ["---", *["--:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rule, *rows))


def names(root: Path) -> str:
    """What stands behind the figures: full folders, circles, long functions and repeated runs."""
    modules, files = module_graph(root), python_files(root)
    lines = [f"{size} files in {folder}" for folder, size in folder_sizes(root).items() if size > MANY_FILES]
    lines += [f"circle of modules: {', '.join(group)}" for group in circles(modules)]
    lines += [f"circle of rooms: {', '.join(group)}" for group in circles(room_graph(modules))]
    for one in (one for path in files for one in functions(path)):
        if one.lines > LONG_LINES or one.complexity > MANY_BRANCHES:
            place = f"{one.path.relative_to(root)}:{one.line}"
            lines.append(f"{place} {one.name}: {one.lines} lines, complexity {one.complexity}")
    for window, places in repeated_runs(files).items():
        where = ", ".join(f"{path.relative_to(root)}:{line}" for path, line in places)
        lines.append(f"said {len(places)} times: {window[0]} ... ({where})")
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("tree", nargs="?", type=Path, default=here, help="a checkout (this one)")
    parser.add_argument("--against", type=Path, metavar="TREE", help="the checkout before")
    parser.add_argument("--names", action="store_true", help="also what stands behind the figures")
    chosen = parser.parse_args()
    for root in (chosen.tree, chosen.against):
        if root is not None and not (root / "pathfuse").is_dir():
            parser.error(f"{root} has no folder pathfuse. Name a checkout.")
    print(table(figures(chosen.tree), figures(chosen.against) if chosen.against else None))
    if chosen.names:
        print("\n" + names(chosen.tree))


def _change(before: int, after: int) -> str:
    if before == after:
        return "0"
    return f"{after - before:+,}" + (f" ({(after - before) / before:+.0%})" if before else "")


if __name__ == "__main__":
    main()
