"""Cards are read from tables of any distribution, and a broken table harms nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.errors import PluginError
from pathfuse.registry import BACKBONES, card_of, cards, forget_installed, read_cards, unknown
from pathfuse.registry.cards import NEEDED, read_table

Install = Callable[..., Path]
HEAD = ",".join([*NEEDED, "width"])
BUILT = "NetA,net_a_v1,tile encoder,MIT,yes,no,,,12"
MISSING = "NetB,,slide encoder,,,yes,nobody wrote it,Write it,"


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Install]:
    """Installs a distribution whose package keeps a table."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def add(name: str, *lines: str, package: str | None = None) -> Path:
        site = tmp_path / "site"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[pathfuse.cards]\n{name} = {package or name}\n")
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("raise OSError('it was imported')\n")
        (site / name / "cards.csv").write_text("\n".join(lines) + "\n")
        forget_installed()
        return site / name

    yield add
    forget_installed()


def test_cards_are_known_without_importing_the_package(install: Install) -> None:
    install("acme", HEAD, BUILT, MISSING)
    card = cards()["NetA"]
    assert (card.distribution, card.terms, card.note) == (
        "acme", "MIT; commercial use allowed", "MIT; commercial use allowed",
    )  # fmt: skip
    assert card.facts["width"] == "12" and "missing" not in card.facts
    assert cards()["NetB"].note == "not built: nobody wrote it"
    assert "width: 12" in card.text()


def test_a_network_that_nobody_built_says_why_and_what_to_do(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme", HEAD, MISSING)
    line = "NetB is not built here: nobody wrote it. Write it."
    with pytest.raises(PluginError) as error:
        BACKBONES.get("NetB")
    assert str(error.value) == line
    assert main(["plugins", "show", "NetB"]) == 0
    assert line in capsys.readouterr().out
    assert main(["plugins"]) == 0
    assert "NetB" in capsys.readouterr().out


def test_the_names_of_other_programs_are_understood(install: Install) -> None:
    install("acme", HEAD, BUILT)
    for name in ("NetA", "neta", "net-a-v1", "NET_A_V1"):
        card = card_of(name)
        assert card is not None and card.name == "NetA"
    assert card_of("net_a") is None
    assert unknown("no backbone", "net-a-v1", ["NetA"]) == "no backbone is called 'net-a-v1'. Here its name is NetA."


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((HEAD.replace("licence", "license"), BUILT), "cards.csv lacks the column licence"),
        ((HEAD, BUILT, BUILT), "names 'NetA' twice or not"),
        (("",), "lacks the column name"),
    ],
)
def test_a_broken_table_is_one_warning_and_the_rest_works(
    lines: tuple[str, ...], said: str, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme", *lines)
    install("other", HEAD, MISSING)
    assert "NetA" not in cards() and "NetB" in cards() and "uni2_h" in cards()
    assert main(["plugins"]) == 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: cards of acme: ") and said in warning and "Repair acme" in warning


def test_a_package_that_is_not_there_and_a_table_that_is_not_there_are_named(install: Install) -> None:
    install("acme", HEAD, package="nowhere")
    install("other", HEAD, package="not.a.package")
    (install("third", HEAD) / "cards.csv").unlink()
    forget_installed()
    said = "\n".join(read_cards().troubles)
    assert "there is no package 'nowhere'" in said and "'not.a.package'" in said and "third" in said


def test_a_name_that_two_distributions_claim_is_named(install: Install) -> None:
    install("acme", HEAD, BUILT)
    install("other", HEAD, BUILT)
    (line,) = read_cards().troubles
    assert line == "the card NetA is claimed by both acme and other. Uninstall one of them."


def test_bytes_that_are_no_text_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "cards.csv"
    path.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(PluginError, match=r"cards of acme: .* cannot be read"):
        read_table(path, "acme")


def test_the_lists_show_encoders_with_their_terms(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["plugins"]) == 0
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["backbone"]}
    assert "CC-BY-NC-ND-4.0; not for commercial use; gated" in lines["uni2_h"]
    assert main(["plugins", "show", "uni2_h"]) == 0
    out = capsys.readouterr().out
    assert "weights: str = 'random'" in out and "revision: d517a8dd47902dd7c308b3c36f63bce47e7b9a43" in out
    assert "tried: no" in out
    assert main(["plugins", "show", "titan"]) == 0
    assert "is not built here" in capsys.readouterr().out
    assert main(["plugins", "show", "hibou"]) == 2
    assert "Did you mean hibou_" in capsys.readouterr().err
