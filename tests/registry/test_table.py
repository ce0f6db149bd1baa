"""The tables: names from metadata, nothing imported; broken, double and local components."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from pathfuse.cli import main
from pathfuse.errors import PluginError
from pathfuse.registry import FUSIONS, HEADS, REGISTRIES, TISSUES, Component, components, import_named_in, unknown
from pathfuse.registry import table as registry
from pathfuse.registry.component import NOTEBOOK
from pathfuse_images.fusion import MeanFusion

Distribution = Callable[..., None]


class RecipeFusion(MeanFusion):
    """As a notebook would define it."""


@pytest.fixture
def clean() -> Iterator[None]:
    """No component of a test is seen by another."""
    registry.forget_installed()
    NOTEBOOK.clear()
    yield
    registry.forget_installed()
    NOTEBOOK.clear()
    # jsonargparse finds classes through `__subclasses__`, which keeps them until they are collected.
    gc.collect()


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: None) -> Distribution:
    """Installs a distribution that is nothing but metadata."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def install(name: str, *lines: str, group: str = "pathfuse.fusion") -> None:
        info = tmp_path / "site" / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]) + "\n")
        registry.forget_installed()

    return install


def test_the_name_is_the_name_of_the_class(clean: None) -> None:
    known = list(components())
    assert len(known) > 15
    for component in known:
        assert component.class_path.rpartition(".")[2] == component.name
        assert component.distribution == "pathfuse"


def test_every_first_party_component_imports() -> None:
    for component in components():
        assert component.load().__name__ == component.name and component.imported


def test_a_word_is_a_name_without_capitals_dashes_and_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("HE_Tissue", "my_rule", "myrule", "LabXTissue")
    known = {name: Component("pathfuse.tissue", name, f"lab:{name}", "lab") for name in names}
    monkeypatch.setattr("pathfuse.registry.table._installed", lambda group: known)
    meant = {word: TISSUES.component(word).name for word in ("he", "he_", "HE_TISSUE", "My_Rule", "MyRule", "lab-x")}
    assert meant == {
        "he": "HE_Tissue", "he_": "HE_Tissue", "HE_TISSUE": "HE_Tissue", "My_Rule": "my_rule", "MyRule": "myrule",
        "lab-x": "LabXTissue",
    }  # fmt: skip


def test_a_wrong_name_gets_a_guess() -> None:
    with pytest.raises(PluginError, match=r"no fusion is called 'SEAtention'\. Did you mean SEAttention\?"):
        FUSIONS.get("SEAtention")
    assert "Did you mean" not in unknown("no fusion", "qqqqqq", FUSIONS.table())


class TestBroken:
    @pytest.fixture(autouse=True)
    def broken(self, distribution: Distribution, tmp_path: Path) -> None:
        distribution("broken-dist", "BrokenFusion = broken_fusion:BrokenFusion")
        (tmp_path / "site" / "broken_fusion.py").write_text("raise OSError('libopenslide.so.0 is missing')\n")

    def test_it_is_listed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["plugins"]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "BrokenFusion" in line]
        assert "broken-dist" in line and "broken_fusion" not in sys.modules

    def test_help_warns_in_one_line_and_goes_on(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["fit", "--help=all"]) == 0
        printed = capsys.readouterr()
        (line,) = printed.err.splitlines()
        assert line.startswith("warning: BrokenFusion of broken-dist") and "libopenslide" in line
        assert "--model.fusion" in printed.out

    def test_a_recipe_that_does_not_name_it_does_not_notice(
        self, small: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["fit", "--recipe", str(small), "--print_config"]) == 0
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize("name", ["BrokenFusion", "broken_fusion.BrokenFusion"])
    def test_a_recipe_that_names_it_ends_in_one_line(
        self, name: str, small: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["fit", "--recipe", str(small), f"--predict.model.fusion={name}"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: BrokenFusion of broken-dist cannot be imported")
        assert "OSError: libopenslide.so.0 is missing" in line


def test_a_class_that_is_not_there_is_a_broken_plug_in(distribution: Distribution, tmp_path: Path) -> None:
    distribution("empty-dist", "NoFusion = empty_module:NoFusion", "Nowhere = no_module_at_all:Nowhere")
    (tmp_path / "site" / "empty_module.py").write_text("")
    with pytest.raises(PluginError, match=r"NoFusion of empty-dist.*AttributeError"):
        FUSIONS.get("NoFusion")
    with pytest.raises(PluginError, match=r"Nowhere of empty-dist.*ModuleNotFoundError"):
        FUSIONS.get("Nowhere")


def test_a_name_claimed_twice_is_refused_naming_both(
    distribution: Distribution, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distribution("first-dist", "GatedPool = first_module:GatedPool")
    distribution("second-dist", "GatedPool = second_module:GatedPool")
    naming = ["fit", "--recipe", str(small), "--predict.model.fusion=GatedPool"]
    for words, status in ((naming, 2), (["plugins"], 0)):
        assert main(words) == status
        error = capsys.readouterr().err
        assert "first-dist" in error and "second-dist" in error and error.count("\n") == 1
    assert main(["fit", "--recipe", str(small), "--print_config"]) == 0


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        (None, "no module named 'half_module'"),
        ("def broken(:\n", "invalid syntax, line 1"),
        ("import numpy\nfrom no_such_package.part import x\n", "no module named 'no_such_package'"),
    ],
)
def test_listing_warns_of_a_plug_in_that_cannot_import_without_importing_it(
    source: str | None, cause: str, distribution: Distribution, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distribution("half-dist", "HalfFusion = half_module:HalfFusion")
    if source is not None:
        (tmp_path / "site" / "half_module.py").write_text(source)
    assert main(["plugins"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: HalfFusion of half-dist") and cause in line
    assert "half_module" not in sys.modules


def test_a_first_party_name_cannot_be_taken(distribution: Distribution) -> None:
    distribution("greedy-dist", "SEAttention = greedy:SEAttention")
    with pytest.raises(PluginError, match="SEAttention") as caught:
        FUSIONS.get("SEAttention")
    assert "greedy-dist" in str(caught.value) and "pathfuse" in str(caught.value)


def test_one_name_in_two_slots_is_two_components(distribution: Distribution) -> None:
    distribution("other-dist", "SoftmaxHead = other:SoftmaxHead", group="pathfuse.fusion")
    assert FUSIONS.table()["SoftmaxHead"].distribution == "other-dist"
    assert HEADS.table()["SoftmaxHead"].distribution == "pathfuse"


def test_only_what_a_text_names_is_imported(distribution: Distribution, tmp_path: Path) -> None:
    distribution("two-dist", "OneFusion = module_one:OneFusion", "TwoFusion = module_two:TwoFusion")
    for word in ("one", "two"):
        (tmp_path / "site" / f"module_{word}.py").write_text(f"class {word.title()}Fusion: ...\n")
    import_named_in("fusion: {class_path: OneFusion}  # not TwoFusions")
    assert "module_one" in sys.modules and "module_two" not in sys.modules


class TestNotebook:
    def define(self, name: str = "NotebookFusion") -> type:
        return type(name, (MeanFusion,), {"__module__": __name__})

    def test_a_registered_class_is_known_by_its_name(self, clean: None) -> None:
        kind = FUSIONS.register(self.define())
        assert FUSIONS.get("NotebookFusion") is kind and "NotebookFusion" in FUSIONS.names()
        assert "NotebookFusion" not in HEADS.names()

    def test_a_taken_name_is_refused(self, clean: None) -> None:
        with pytest.raises(PluginError, match="SEAttention is already registered as fusion by pathfuse"):
            FUSIONS.register(self.define("SEAttention"))
        assert FUSIONS.get("SEAttention").__module__ == "pathfuse_corranet.fusion"

    def test_running_a_cell_again_is_no_second_claim(self, clean: None) -> None:
        FUSIONS.register(self.define())
        again = FUSIONS.register(self.define())
        assert FUSIONS.get("NotebookFusion") is again

    def test_a_recipe_can_name_it_in_this_process(self, clean: None, small: Path, tmp_path: Path) -> None:
        kind = FUSIONS.register(RecipeFusion)
        out = tmp_path / "run"
        words = ["--predict.model.fusion=RecipeFusion", "--trainer.max_epochs=1", "--out", str(out)]
        assert main(["fit", "--recipe", str(small), *words]) == 0
        saved = yaml.safe_load((out / "config.yaml").read_text())
        assert saved["stages"]["predict"]["model"]["fusion"]["class_path"].endswith("RecipeFusion")
        import pathfuse

        assert type(pathfuse.load(out).fusion) is kind


def test_every_slot_has_its_table() -> None:
    assert [registry.slot for registry in REGISTRIES] == [
        "backbone", "input", "encoder", "fusion", "head", "objective", "explainer", "data", "metric",
        "reader", "tissue", "normaliser", "store", "registration",
    ]  # fmt: skip
