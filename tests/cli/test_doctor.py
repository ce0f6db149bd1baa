"""The examination of an installation finds what is broken, and says what an extra would bring."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.cli.doctor import examine as doctor
from pathfuse.cli.doctor.examine import BRINGS, Finding, examine
from pathfuse.registry import forget_installed

DEVELOPERS = {"test", "lint", "hooks", "bench", "docs"}


def found(what: str, about: str | None = None) -> Finding:
    (one,) = [finding for finding in examine() if finding.what == what and about in (None, finding.about)]
    return one


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    own = doctor.version

    def version(name: str) -> str:
        if name in missing:
            raise PackageNotFoundError(name)
        return own(name)

    monkeypatch.setattr(doctor, "version", version)


def test_every_extra_says_what_it_brings_or_is_for_developers() -> None:
    assert set(metadata("pathfuse").get_all("Provides-Extra") or ()) == set(BRINGS) | DEVELOPERS


def test_it_sees_packages_extras_devices_folders_and_plug_ins() -> None:
    findings = examine()
    assert list(dict.fromkeys(finding.about for finding in findings if finding.about != "slides")) == [
        "packages", "extras", "devices", "folders", "plug-ins",
    ]  # fmt: skip
    assert found("torch").state == "ok" and found("torch").said[0].isdigit()
    assert found("CPU").said.endswith("cores")
    assert found("pathfuse", "plug-ins").said.endswith("components")


def test_a_package_that_is_missing_or_too_old_is_a_problem_with_the_line_that_mends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(monkeypatch, "timm")
    assert found("timm") == Finding(
        "packages", "problem", "timm", "is not installed. pip install 'timm>=1.0.10' brings it."
    )
    monkeypatch.setattr(doctor, "version", lambda name: "0.0.1")
    assert found("timm").state == "problem"
    assert found("timm").said == "0.0.1 is not in >=1.0.10. pip install 'timm>=1.0.10' changes it."


def test_an_extra_that_is_missing_is_no_problem_and_half_of_one_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, "transformers", "openslide-bin")
    extra = found("transformers", "extras")
    assert extra.state == "note" and f"brings {BRINGS['transformers']}" in extra.said
    assert found("wsi", "extras").state == "problem" and "openslide-bin is not installed" in found("wsi", "extras").said
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["doctor"]) == 1
    assert "pip install 'pathfuse[transformers]' brings" in capsys.readouterr().out


def test_a_slide_library_that_does_not_load_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openslide")
    monkeypatch.setitem(sys.modules, "openslide", None)
    assert found("OpenSlide").state == "problem" and "pip install openslide-bin" in found("OpenSlide").said


def test_a_folder_that_cannot_be_written_to_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    cache = found("cache")
    assert cache.state == "problem" and "cannot be written to" in cache.said
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not" / "there" / "yet"))
    assert found("cache").state == "ok"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # nothing is left behind


def test_a_broken_plug_in_is_named_and_the_exit_status_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pathfuse.fusion]\nBroken = nowhere_at_all:Broken\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    forget_installed()
    try:
        assert main(["doctor", "--json"]) == 1
    finally:
        monkeypatch.undo()
        forget_installed()
    findings = [Finding(**line) for line in json.loads(capsys.readouterr().out)]
    (own,) = [finding for finding in findings if finding.what == "broken"]
    assert own.state == "problem" and "no module named 'nowhere_at_all'" in own.said


def test_the_command_is_refused_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--fix", "yes"]) == 2
    assert "--fix" in capsys.readouterr().err
    assert main(["doctor", "--help"]) == 0
    assert "--json" in capsys.readouterr().out
