"""What holds for every page: its numbers are in the JSON beside it, names stay text, it needs no network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pathfuse.cli import main
from pathfuse.report.page import NOTHING, Column, Page, Section, Table, shown
from pathfuse.report.render import as_html
from pathfuse.report.write import write_report
from tests.report.reading import Read, at, beside, read
from tests.report.runs import write_whole_run

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "a & b </style>", "{{ 7 * 7 }}")

Spoil = Callable[[Path], object]


def test_every_number_of_the_page_is_in_the_json_beside_it(page: Path) -> None:
    numbers, content = read(page).numbers, beside(page)
    assert len(numbers) >= 10
    assert len({key for key, _, _ in numbers}) == len(numbers)
    for key, value, text in numbers:
        raw = at(content, key)
        assert value == ("" if raw is None else str(raw)), key
        if raw is None:
            assert text == NOTHING
        elif not text.startswith("<"):
            digits = text.replace(",", "")
            own = float(digits.rstrip("%")) / (100 if digits.endswith("%") else 1)
            assert own == pytest.approx(raw, abs=6e-4, rel=1e-3), key


def test_a_page_asks_for_nothing_and_runs_only_its_own_script(page: Path) -> None:
    found = read(page)
    for _, own in found.elements:
        for key in ("src", "href", "xlink:href", "action"):
            assert own.get(key, "#").startswith(("#", "data:"))
        assert not [key for key in own if key.startswith("on")]
    (policy,) = [own["content"] for own in found.all("meta") if own.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "script-src 'sha256-" in policy
    assert len(found.all("script")) == 1
    assert "url(http" not in page.read_text() and "@import" not in page.read_text()


def test_a_page_can_be_used_without_eyes_or_mouse(page: Path) -> None:
    found = read(page)
    ids = [own["id"] for _, own in found.elements if "id" in own]
    assert len(ids) == len(set(ids))
    assert found.all("html")[0]["lang"] == "en" and len(found.all("h1")) == 1
    for link in found.all("a"):
        assert link["href"][1:] in ids
    assert found.elements[[tag for tag, _ in found.elements].index("a")][1]["class"] == "skip"
    assert len(found.all("caption")) == len(found.all("table")) > 0
    for own in found.all("th"):
        assert own["scope"] in ("col", "row")
    for tag, own in found.elements:
        if own.get("class") == "scroll":
            assert (tag, own["role"], own["tabindex"]) == ("div", "region", "0") and own["aria-labelledby"] in ids
        if tag == "svg":
            assert own["role"] == "img" and set(own["aria-labelledby"].split()) <= set(ids)
        if tag == "img":
            assert own["alt"]


def test_hostile_names_stay_text_everywhere(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run", classes=HOSTILE)
    for file, place in (("examples.csv", "c0000"), ("cohort.json", "cases.csv"), ("weights.json", "test_resnet")):
        text = (folder / file).read_text()
        (folder / file).write_text(text.replace(place, HOSTILE[0].replace("/", "\\/" if "json" in file else "/")))
    write_report(folder)
    found = read(folder / "report.html")
    assert len(found.all("script")) == 1 and not [own for own in found.all("img") if own["src"] == "x"]
    assert not [key for _, own in found.elements for key in own if key.startswith("on")]
    for name in HOSTILE:
        assert name in found.text
    assert "49" not in [row["true"] for row in beside(folder / "report.html")["sections"]["confusion"]["counts_0"]]


def test_hostile_files_of_examples_do_not_get_into_the_page(tmp_path: Path) -> None:
    folder = write_whole_run(tmp_path / "run")
    (tmp_path / "secret.jpg").write_bytes(b"\xff\xd8\xffsecret")
    (folder / "examples" / "0_he.jpg").write_text("<script>alert(1)</script>")
    text = (folder / "examples.csv").read_text()
    (folder / "examples.csv").write_text(text.replace("1_he.jpg", "../../secret.jpg"))
    write_report(folder)
    assert len(read(folder / "report.html").all("img")) == 4


def test_the_same_run_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    first = {name: (run / name).read_bytes() for name in ("report.html", "report.json", "methods.md")}
    again = tmp_path / "run"
    shutil.copytree(run, again)
    write_report(again)
    assert {name: (again / name).read_bytes() for name in first} == first


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda run: (run / "predictions.csv").unlink(), "holds no predictions.csv"),
        (lambda run: (run / "metrics.json").write_text("{"), "metrics.json cannot be read"),
        (lambda run: (run / "metrics.json").write_text("[]"), "holds no mapping"),
        (lambda run: (run / "config.yaml").write_text("a: [b"), "config.yaml line 1 column 6: not readable as YAML"),
        (lambda run: (run / "splits.csv").write_bytes(b"\xff\xfe\x00"), "splits.csv line 1 is not UTF-8"),
        (lambda run: (run / "seal.json").write_text('{"sha256": {"predictions.csv": "00"}}'), "SHA-256 differs"),
    ],
    ids=["nothing", "metrics", "list", "config", "splits", "edited"],
)
def test_a_folder_that_cannot_be_read_is_one_clear_line(
    spoil: Spoil, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_whole_run(tmp_path / "run", examples=False, subsets=("he",))
    spoil(folder)
    assert main(["report", str(folder)]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_values_are_rounded_only_where_they_are_shown() -> None:
    assert [shown(0.12345, form) for form in ("share", "signed", "percent", "p", "number")] == [
        "0.123", "+0.123", "12.3%", "0.1235", "0.1235",
    ]  # fmt: skip
    assert (shown(1234.0, "count"), shown(1e-9, "p"), shown("a", "share")) == ("1,234", "< 0.0001", "a")
    assert {shown(None, "share"), shown(float("nan"), "count"), shown(float("inf"), "p")} == {NOTHING}
    assert shown({"odd": 1}, "share") == "{'odd': 1}"  # type: ignore[arg-type]


def test_what_is_not_a_number_is_a_dash_with_its_interval() -> None:
    undefined = float("nan")
    records = [
        {"a": "x", "b": undefined, "b_low": undefined, "b_high": 1.0},
        {"a": "y", "b": 0.5, "b_low": 0.1, "b_high": 0.9},
    ]
    table = Table("t", "caption", [Column("a", "A"), Column("b", "B", "share", interval=True)], records)
    found = Read()
    found.feed(as_html(Page("page", "", [Section("s", "S", [table])]), "page.json"))
    assert [(value, text) for _, value, text in found.numbers] == [
        ("", NOTHING), ("0.5", "0.500"), ("0.1", "0.100"), ("0.9", "0.900"),
    ]  # fmt: skip
