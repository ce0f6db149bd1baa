"""Names that mean something and are no component: of another base, in no entry point, of a package not there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.core import Fusion
from pathfuse.errors import PluginError
from pathfuse.inference.parsing.messages import KINDS
from pathfuse.registry import FUSIONS, REGISTRIES, components, forget_installed
from pathfuse.registry.faults.blame import blamed
from pathfuse.registry.faults.broken import trouble
from pathfuse.registry.faults.forgotten import BASES, forgotten
from pathfuse.registry.faults.unregistered import why_no_component
from pathfuse.registry.table import import_named_in
from pathfuse.testing.example import SLOTS

FILES = {
    "__init__.py": "",
    "blocks.py": "from pathfuse.core import Fusion\n\n\nclass ForgottenFusion(Fusion):\n    pass\n\n\n"
    "class UnfinishedFusion(Fusion):\n    pass\n",
    "ends.py": "raise SystemExit('no licence')\n",
    "data.py": "from pathfuse.data.samples import SampleData\n\n\nclass ForgottenData(SampleData):\n    pass\n",
    "fails.py": "1 / 0\n",
    "empty.py": "x = 1\n",
    "made.py": "def made_fusion(): ...\n",
    "crashes.py": "class CrashingFusion:\n    def __init__(self): 1 / 0\n",
}
OFFERED = {"EndsFusion": "ends", "FailsFusion": "fails", "AbsentFusion": "empty", "made_fusion": "made",
           "CrashingFusion": "crashes", "UnfinishedFusion": "blocks"}  # fmt: skip


LOST = "[pathfuse.fusions]\nLostFusion = lab_parts.blocks:LostFusion\n"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with a class that no entry point names, and three entry points that do not work."""
    package = tmp_path / "lab_parts"
    package.mkdir()
    for name, text in FILES.items():
        (package / name).write_text(text)
    info = tmp_path / "lab_parts-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-parts\nVersion: 1.0\n")
    lines = "".join(f"{kind} = lab_parts.{module}:{kind}\n" for kind, module in OFFERED.items())
    (info / "entry_points.txt").write_text(f"[pathfuse.fusion]\n{lines}[pathfuse.api]\n1.0 = lab_parts\n{LOST}")
    monkeypatch.syspath_prepend(str(tmp_path))
    forget_installed()
    yield
    forget_installed()
    for name in [name for name in sys.modules if name.partition(".")[0] == "lab_parts"]:
        del sys.modules[name]


def test_a_wrong_base_class_is_said() -> None:
    class NotAFusion:
        pass

    FUSIONS.register(NotAFusion)
    said = why_no_component("NotAFusion", KINDS)
    assert "is registered as fusion and is no Fusion, but object" in said and "pathfuse.core.Fusion" in said


def test_a_component_of_another_slot_is_said() -> None:
    assert (
        why_no_component("MeanFusion", KINDS)
        == "MeanFusion is a component of slot fusion, and another slot is filled here."
    )


def test_a_class_of_the_session_that_is_not_registered_is_said() -> None:
    class NewFusion(Fusion):
        pass

    assert "@pathfuse.FUSIONS.register" in why_no_component("NewFusion", KINDS)
    del NewFusion


def test_a_forgotten_entry_point_is_said(lab: None) -> None:
    said = why_no_component("ForgottenFusion", KINDS)
    assert "is a class of lab_parts.blocks, which names it in no entry point" in said
    assert '[project.entry-points."pathfuse.fusion"] as ForgottenFusion = "lab_parts.blocks:ForgottenFusion"' in said


def test_a_forgotten_entry_point_is_said_wherever_the_name_is_asked_for(
    lab: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PluginError, match=r"is a class of lab_parts\.blocks, which names it in no entry point"):
        FUSIONS.get("ForgottenFusion")
    assert main(["plugins", "check", "ForgottenFusion"]) == 2
    assert "names it in no entry point" in capsys.readouterr().err
    assert '[project.entry-points."pathfuse.data"]' in forgotten("ForgottenData")


def test_the_names_of_base_classes_are_those_of_the_contracts() -> None:
    assert list(BASES) == [registry.slot for registry in REGISTRIES]
    assert {slot: names[0] for slot, names in BASES.items()} == {slot: kind.__name__ for slot, kind in SLOTS.items()}


def test_a_class_that_is_not_finished_says_what_it_lacks(lab: None) -> None:
    with pytest.raises(PluginError, match=r"UnfinishedFusion of lab-parts lacks forward, which its base class leaves"):
        FUSIONS.get("UnfinishedFusion")


def test_a_name_in_a_group_that_nobody_reads_is_said_where_it_is_asked_for(lab: None) -> None:
    said = why_no_component("LostFusion", KINDS)
    assert said.startswith("lab-parts names the entry-point group pathfuse.fusions, which nobody reads. Did you mean")
    with pytest.raises(PluginError, match=r"pathfuse\.fusions, which nobody reads"):
        FUSIONS.get("LostFusion")


def test_a_function_in_the_place_of_a_class_is_said(lab: None) -> None:
    assert (
        "made_fusion of lab-parts is registered as fusion and is no Fusion: it is no class at all"
        in why_no_component("made_fusion", KINDS)
    )


def test_a_fault_in_a_plugin_names_the_plugin_and_its_check(lab: None) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        FUSIONS.table()["CrashingFusion"].load()()
    assert blamed(caught.value) == (
        "error: it came up in lab_parts.crashes of lab-parts. `pathfuse plugins check CrashingFusion` may say why."
    )
    assert blamed(ValueError("elsewhere")) == ""


def test_a_package_that_we_know_and_that_is_not_there_is_named() -> None:
    assert why_no_component("strangers_package.head.Head", KINDS) == "", "no advice to install what a stranger names"
    assert why_no_component("Nothing", KINDS) == ""


def test_one_broken_entry_point_hides_no_other(lab: None) -> None:
    with pytest.raises(PluginError) as caught:
        import_named_in("EndsFusion and FailsFusion")
    assert "EndsFusion of lab-parts cannot be imported (SystemExit: no licence)" in str(caught.value)
    assert "FailsFusion of lab-parts cannot be imported (ZeroDivisionError" in str(caught.value)
    troubles = {one.name: trouble(one) for one in components() if one.distribution == "lab-parts"}
    assert "lab_parts.empty has no 'AbsentFusion'" in str(troubles["AbsentFusion"])
    assert [one.name for one in components() if one.distribution == "pathfuse" and trouble(one)] == []


def test_a_class_of_ours_that_is_no_component_is_not_to_be_registered() -> None:
    assert forgotten("FoundationEncoder") == "" and forgotten("PlainPool") == ""
