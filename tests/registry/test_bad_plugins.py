"""Bad plug-ins beside a good one: one line each, which names the distribution and the cure, and the rest works."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.errors import PluginError
from pathfuse.registry import FUSIONS, TISSUES, forget_installed, recording, software_of
from pathfuse.registry.faults.troubles import troubles
from pathfuse.registry.metadata import facts_of
from pathfuse.slides import tissue_rule
from pathfuse.template import KINDS

GOOD = KINDS["tissue"].named(KINDS["tissue"].source.read_text(encoding="utf-8"), "GoodTissue")
PRINTS = "print('licensed to the laboratory')\nprint('a second line')\n" + GOOD.replace("GoodTissue", "LoudTissue")
PRINTS = PRINTS.replace("from __future__ import annotations\n", "")
CONNECTS = f"""
import socket
listener = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listener.getsockname()).close()
listener.close()
{GOOD.replace("GoodTissue", "CallingTissue")}
"""
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Lays down distributions of one module each, beside one that is as it should be."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def lay_down(name: str, entries: str, source: str = "", *, metadata: str | None = METADATA) -> None:
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        if metadata is not None:
            (info / "METADATA").write_text(metadata.format(name=name))
        (info / "entry_points.txt").write_text(entries)
        (tmp_path / f"{name.replace('-', '_')}_parts.py").write_text(source)
        forget_installed()

    lay_down("good-lab", "[pathfuse.tissue]\nGoodTissue = good_lab_parts:GoodTissue\n", GOOD)
    yield lay_down
    monkeypatch.undo()
    forget_installed()
    for name in [name for name in sys.modules if name.endswith("_lab_parts")]:
        del sys.modules[name]


def lines() -> list[str]:
    """What is wrong, as `pathfuse plugins` and `pathfuse doctor` say it."""
    return [trouble.said for trouble in troubles()]


def the_good_one_works() -> None:
    assert TISSUES.get("GoodTissue").__name__ == "GoodTissue"
    assert tissue_rule("good").settings()["limit"] == 225.0
    assert "MeanFusion" in FUSIONS.names()


@pytest.mark.parametrize(
    ("entries", "source", "said"),
    [
        pytest.param(
            "[pathfuse.fusion]\nBad = bad_lab_parts:Bad\n", "import no_such_library\n",
            "Bad of bad-lab cannot be imported (no module named 'no_such_library'). Repair or uninstall bad-lab.",
            id="import error",
        ),
        pytest.param(
            "[pathfuse.fusions]\nBad = bad_lab_parts:Bad\n", "",
            "bad-lab names the entry-point group pathfuse.fusions, which nobody reads. Did you mean pathfuse.fusion? "
            "Correct its pyproject.toml, and install it again.",
            id="wrong group",
        ),
        pytest.param(
            "[pathfuse_fusion]\nBad = bad_lab_parts:Bad\n", "",
            "bad-lab names the entry-point group pathfuse_fusion, which nobody reads. Did you mean pathfuse.fusion? "
            "Correct its pyproject.toml, and install it again.",
            id="another separator",
        ),
        pytest.param(
            "[pathfuse.fusion]\nBad = bad_lab_parts:Good\n", "class Good: ...\n",
            "Bad of bad-lab is the class Good, and both have one name here. Write the entry point as "
            'Good = "bad_lab_parts:Good", and install it again.',
            id="another name",
        ),
        pytest.param(
            "[pathfuse.tissue]\nGoodTissue = bad_lab_parts:GoodTissue\n", GOOD,
            "GoodTissue is claimed in pathfuse.tissue by both bad-lab and good-lab. Uninstall one of them, or give "
            "the class of one another name.",
            id="name clash",
        ),
        pytest.param(
            "[pathfuse.fusion]\nBad = bad_lab_parts:Bad\n", "",
            "Bad of bad-lab cannot be imported (bad_lab_parts has no 'Bad'). Repair or uninstall bad-lab.",
            id="entry point to nothing",
        ),
        pytest.param(
            "[pathfuse.fusion]\nBad = nowhere:Bad\n", "",
            "Bad of bad-lab cannot be imported (no module named 'nowhere'). Repair or uninstall bad-lab.",
            id="entry point to no module",
        ),
        pytest.param(
            "[pathfuse.fusion]\nBad = bad_lab_parts:Bad\n[pathfuse.api]\n2.0 = bad_lab_parts\n", "class Bad: ...\n",
            "Bad of bad-lab was made for version 2.0 of pathfuse's API, and this pathfuse has 1.0. Install another "
            "release of bad-lab, or of pathfuse.",
            id="another API",
        ),
    ],
)  # fmt: skip
def test_what_can_be_seen_without_importing_is_one_line(
    entries: str, source: str, said: str, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("bad-lab", entries, source)
    if "claimed" in said:  # which of them is found first is the order of the folder
        other = said.replace("both bad-lab and good-lab", "both good-lab and bad-lab")
        assert lines() in ([said], [other])
        with pytest.raises(PluginError, match=r"claimed in pathfuse\.tissue by both"):
            TISSUES.get("GoodTissue")
        assert "MeanFusion" in FUSIONS.names()
        return
    assert lines() == [said]
    the_good_one_works()
    assert main(["plugins"]) == 0
    printed = capsys.readouterr()
    assert printed.err == f"warning: {said}\n" and "GoodTissue" in printed.out
    assert main(["doctor", "--json"]) == 1
    said_of = {one["what"]: one["state"] for one in json.loads(capsys.readouterr().out) if one["about"] == "plug-ins"}
    assert (said_of["bad-lab"], said_of["good-lab"], said_of["pathfuse"]) == ("problem", "ok", "ok")


@pytest.mark.parametrize("metadata", [None, "Metadata-Version: 2.1\n", ""], ids=["no file", "no name", "empty"])
def test_metadata_that_is_missing_is_one_line_and_its_components_work(metadata: str | None, install: Install) -> None:
    install("bad-lab", "[pathfuse.tissue]\nBareTissue = bad_lab_parts:BareTissue\n",
            GOOD.replace("GoodTissue", "BareTissue"), metadata=metadata)  # fmt: skip
    assert lines() == ["bad_lab-1.0.dist-info states components and no name or version. Install it again with pip."]
    the_good_one_works()
    with recording() as used:
        assert tissue_rule("bare").settings()["limit"] == 225.0
    said = software_of(used=used)
    assert said["components"] == {"bad_lab-1.0.dist-info": ["BareTissue"]}
    assert said["plugins"] == {"bad_lab-1.0.dist-info": "not known"}
    assert main(["plugins"]) == main(["plugins", "check", "BareTissue"]) == 0


def test_entry_points_that_cannot_be_read_cost_no_other_its_place(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("bad-lab", "[pathfuse.fusion]\nno equals sign\n")
    (said,) = lines()
    assert said.startswith("the entry points of bad-lab cannot be read (") and said.endswith("uninstall it.")
    the_good_one_works()
    assert main(["recipes"]) == 0 and "he_only" in capsys.readouterr().out


def test_a_class_of_the_wrong_base_is_one_line_for_the_check_and_for_who_names_it(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("bad-lab", "[pathfuse.tissue]\nBad = bad_lab_parts:Bad\n[pathfuse.store]\nBadTissue = bad_lab_parts:"
            "BadTissue\n[pathfuse.head]\nbad = bad_lab_parts:bad\n",
            "class Bad: ...\n\ndef bad(): ...\n" + GOOD.replace("GoodTissue", "BadTissue")
            .replace("from __future__ import annotations\n", ""))  # fmt: skip
    assert main(["plugins", "check", "bad-lab"]) == 1
    printed = " ".join(capsys.readouterr().err.split())
    assert "Bad of bad-lab is registered as tissue and is no Tissue, but object. Make it a subclass of " in printed
    assert "a subclass of pathfuse.slides.Tissue." in printed
    assert (
        "BadTissue of bad-lab is registered as store and is no Store, but a Tissue. Name it in the entry points "
        '"pathfuse.tissue" instead.' in printed
    )
    assert "bad of bad-lab is registered as head and is no Head: it is no class at all." in printed
    assert "Bad: 1 checks ran, 0 passed, 1 failed" in printed
    with pytest.raises(
        PluginError,
        match=r"Bad of bad-lab .* is no Tissue, but object\. Make it a subclass of pathfuse\.slides\.Tissue",
    ):
        tissue_rule("Bad")
    the_good_one_works()


def test_what_an_import_prints_is_a_warning_and_stays_out_of_the_output(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("bad-lab", "[pathfuse.tissue]\nLoudTissue = bad_lab_parts:LoudTissue\n", PRINTS)
    assert lines() == []
    assert tissue_rule("loud").settings()["limit"] == 225.0
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err == (
        "warning: LoudTissue of bad-lab prints 'licensed to the laboratory' while it is imported. Move that into a "
        "constructor, or ask bad-lab to.\n"
    )
    assert main(["plugins", "check", "LoudTissue", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [cause["checks"] for cause in said["causes"]] == [["its_import_is_quiet"]]
    the_good_one_works()


def test_a_socket_that_an_import_opens_is_a_warning(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("bad-lab", "[pathfuse.tissue]\nCallingTissue = bad_lab_parts:CallingTissue\n",
            CONNECTS.replace("from __future__ import annotations\n", ""))  # fmt: skip
    assert main(["plugins", "check", "CallingTissue"]) == 1
    printed = capsys.readouterr()
    assert "CallingTissue of bad-lab" in printed.err and "opens a socket to 127.0.0.1:" in printed.err
    assert "its_import_is_quiet" in printed.err and "1 failed" in printed.err
    the_good_one_works()


def test_facts_of_a_distribution_come_from_any_of_the_fields_that_hold_them(install: Install) -> None:
    whole = "License: The licence\n        in full, over lines\n"
    for number, (field, licence) in enumerate(
        [("License-Expression: MIT\n", "MIT"), (whole, "The licence"), ("", "not known"),
         ("Classifier: License :: OSI Approved :: Apache Software License\n", "Apache Software License")]
    ):  # fmt: skip
        install(f"lab-{number}", "", metadata=METADATA + field)
        assert facts_of(f"lab-{number}") == ("1.0", licence)
    assert facts_of("no-such-lab") == ("not known", "not known")
