"""What the pages point to is there: other pages, headings, files, recipes and components."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pathfuse.recipes import recipe_files
from pathfuse.registry import components
from tests.conftest import PROJECT_ROOT
from tests.docs.pages import PAGES, anchors, links, literals, prose

CHANGELOG = PROJECT_ROOT / "CHANGELOG.md"
_TOP = ("pathfuse/", "plugins/", "recipes/", "tests/", "docs/", "benchmarks/", ".ci/")
_CAMEL = re.compile(r"[A-Z][a-z]+[A-Z]\w*|[A-Z]{2,}[a-z]+\w*")
# Words in this form that are no component: contracts, types and errors are looked up in their modules instead.
_MODULES = (
    "builtins",
    "pathfuse",
    "pathfuse.core",
    "pathfuse.nn",
    "pathfuse.errors",
    "pathfuse.data.contract",
    "pathfuse.demo",
    "pathfuse.data.images.augment",
    "pathfuse.testing",
    "pathfuse.registry",
    "pathfuse.slides",
    "pathfuse.store",
    "captum.attr",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "lightning.pytorch",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.cli",
    "pathfuse.training.lightning_data",
    "pathfuse.training.lightning_task",
    "pathfuse.training.steady.statistics",
)
_ELSEWHERE = {"MyNetBackbone", "PersistentDataset", "ResNeXt", "EfficientNet", "DenseNet", "GitHub"}

pages = pytest.mark.parametrize("page", [*PAGES, CHANGELOG], ids=lambda page: page.relative_to(PROJECT_ROOT).as_posix())


@pages
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links(page):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target}; there are {sorted(anchors(file))}"


@pages
def test_every_file_that_is_named_exists(page: Path) -> None:
    for literal in literals(page):
        if literal.startswith(_TOP) and not re.search(r"[<>*{}\s]|\.\.\.|NAME", literal):
            assert (PROJECT_ROOT / literal).exists(), f"{page.name}: {literal}"


@pages
def test_every_recipe_that_is_named_exists(page: Path) -> None:
    known = {recipe.name for recipe in recipe_files()} | {"mine", "cases"}
    for name in re.findall(r"\b(\w+)\.yaml\b", prose(page)):
        assert name in known | {"config"}, f"{page.name}: {name}.yaml"


@pages
def test_every_component_that_is_named_exists(page: Path) -> None:
    known = {component.name for component in components()} | _ELSEWHERE
    for module in _MODULES:
        known |= set(dir(__import__(module, fromlist=["*"])))
    known |= set(re.findall(r"^class (\w+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    for literal in literals(page):
        if _CAMEL.fullmatch(literal):
            assert literal in known, f"{page.name}: {literal}"


def test_every_page_of_the_docs_is_in_the_table_of_contents() -> None:
    folder = PROJECT_ROOT / "docs"
    listed = set(re.findall(r"^([\w/-]+)$", (folder / "index.md").read_text(encoding="utf-8"), re.MULTILINE))
    names = {page.relative_to(folder).with_suffix("").as_posix() for page in PAGES if folder in page.parents}
    assert names - {"index"} <= listed, names - {"index"} - listed
