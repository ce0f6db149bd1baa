"""Who may import whom, read off the syntax trees."""

import ast
from pathlib import Path

import pytest

from benchmarks.code.import_graph import circles, folder_sizes, imported, module_graph, room_graph

ROOT = Path(__file__).resolve().parents[1]
FRAMEWORK = sorted((ROOT / "pathfuse").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").glob("pathfuse_*/**/*.py"))
LIGHT = ("cli", "registry", "recipes", "system", "errors.py", "__init__.py", "__main__.py")
HEAVY = {
    "torch",
    "lightning",
    "numpy",
    "monai",
    "timm",
    "captum",
    "skimage",
    "sklearn",
    "torchvision",
    "jsonargparse",
    "matplotlib",
    "jinja2",
}
# The rooms from the ground up: what each may import of pathfuse, besides itself, errors and system.
MAY = {
    "core": set(),
    "registry": set(),
    "charts": set(),
    "recipes": {"registry"},
    "nn": {"core"},
    "slides": {"core", "registry"},
    "store": {"core", "nn", "registry"},
    "demo": {"core", "store"},
    "cohort": {"core", "demo", "store"},
    "register": {"core", "registry", "slides", "cohort"},
    "pairs": {"slides", "register"},
    "runs": {"core", "recipes"},
    "evaluate": {"core", "cohort", "registry", "runs"},
    "data": {"core", "nn", "registry", "slides", "store", "demo", "cohort", "register", "pairs"},
    "template": {"core", "nn", "registry", "slides", "store", "register", "cohort", "data"},
    "testing": {"core", "nn", "registry", "slides", "store", "demo", "cohort", "register", "data", "evaluate"},
    "explain": {"core", "charts", "demo", "evaluate"},
    "report": {"core", "charts", "cohort", "register", "evaluate", "nn", "recipes", "registry", "runs"},
    "inference": {"core", "nn", "registry", "recipes", "cohort", "data", "evaluate", "explain", "runs"},
    "training": {
        *("core", "nn", "registry", "recipes", "cohort", "data", "evaluate", "explain", "report", "runs"),
        "inference",
    },
    "extract": {"core", "nn", "registry", "slides", "store", "cohort", "data", "runs", "inference"},
    "quantify": {"core", "slides", "store", "cohort", "extract"},
    "study": {
        *("core", "charts", "registry", "recipes", "cohort", "data", "evaluate", "explain", "report", "runs"),
        *("inference", "training"),
    },
}
BELOW_TRAINING = tuple(MAY)[: tuple(MAY).index("training")]
EVERYBODY = {"errors", "system"}
# What stands beside the rooms: below them all, and above them all.
OUTSIDE = {"errors": set(), "system": {"errors"}, "cli": {*MAY}, "__init__": {*MAY}, "__main__": {"cli"}}
MOST_FILES = 16  # beside `__init__`, in one folder
MODULES = module_graph(ROOT)


def may(room: str) -> set[str]:
    """The rooms that a room may import."""
    return OUTSIDE[room] if room in ("errors", "system") else {*MAY.get(room, OUTSIDE.get(room, ())), *EVERYBODY}


def of_pathfuse(found: set[str]) -> set[str]:
    return {name.split(".")[1] for name in found if name.startswith("pathfuse.")}


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


def test_there_are_files_to_look_at() -> None:
    assert len(FRAMEWORK) > 20 and len(PLUGINS) > 10


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles(MODULES) == []


def test_every_room_stands_on_rooms_that_are_named_before_it() -> None:
    assert set(room_graph(MODULES)) == {*MAY, *OUTSIDE}
    below: set[str] = set()
    for room, others in MAY.items():
        assert others <= below, f"{room} may import rooms that stand above it"
        below.add(room)


@pytest.mark.parametrize(("folder", "files"), folder_sizes(ROOT).items())
def test_a_folder_can_be_looked_over(folder: str, files: int) -> None:
    assert files <= MOST_FILES


@named([path for path in FRAMEWORK if path.relative_to(ROOT / "pathfuse").parts[0] in LIGHT])
def test_the_front_door_imports_nothing_heavy_at_the_top(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path, top_only=True)} & HEAVY
    assert not of_pathfuse(imported(path, top_only=True)) & {"core", "data", "training", "evaluate", "explain"}


@named(FRAMEWORK)
def test_no_arrow_of_a_file_runs_up_or_past_what_its_room_may_import(path: Path) -> None:
    part = path.relative_to(ROOT / "pathfuse").with_suffix("").parts[0]
    found = imported(path)
    assert not {name for name in found if name.startswith("pathfuse_")}, "the framework imports a plug-in"
    assert of_pathfuse(found) - {part} <= may(part)
    if part == "core":
        assert not {name.split(".")[0] for name in found} & (HEAVY - {"torch"} | {"re"})


@named([path for path in FRAMEWORK if path.relative_to(ROOT / "pathfuse").parts[0] in (*BELOW_TRAINING, "cli")])
def test_lightning_is_the_affair_of_training_alone(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & {"lightning", "torchmetrics"}


@named([path for path in FRAMEWORK if path.relative_to(ROOT / "pathfuse").parts[0] == "core"])
def test_the_contracts_call_nothing_private_of_torch(path: Path) -> None:
    accessed = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Attribute)
    ]
    private = [ast.unparse(node) for node in accessed if node.attr.startswith("_") and not node.attr.startswith("__")]
    assert not [name for name in private if name.startswith("torch")]


def test_the_toolkit_offers_what_it_says() -> None:
    import pathfuse.nn

    assert sorted(pathfuse.nn.__all__) == sorted(set(pathfuse.nn.__all__))
    assert all(hasattr(pathfuse.nn, name) for name in pathfuse.nn.__all__)


@named(PLUGINS)
def test_a_plug_in_imports_the_contracts_and_no_other_plug_in(path: Path) -> None:
    own = path.relative_to(ROOT / "plugins").parts[0]
    found = imported(path)
    assert not {name for name in found if name.startswith("pathfuse_") and name.split(".")[0] != own}
    assert of_pathfuse(found) <= {"core", "nn", "errors"}
