"""A page in a real browser: no error, no request, charts, tables that sort, and nothing wider than the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pathfuse.evaluate.compare.compare import compare_runs
from pathfuse.evaluate.compare.findings import CompareOptions
from pathfuse.evaluate.compare.run import read_runs
from pathfuse.report.write import write_comparison_report, write_report
from tests.chromium import needs_chromium
from tests.evaluate.runs import write_run
from tests.report.runs import write_study, write_whole_run

WIDTHS = (375, 768, 1280, 1920)
LONG = "a_run_with_a_name_that_is_much_longer_than_anyone_would_like_to_read"

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    write_report(write_whole_run(folder / "run"))
    write_report(write_whole_run(folder / "odd", classes=("<b>x</b>", "y" * 90), subsets=("he",)))
    runs = [write_run(folder / name, seed=seed, subsets=("he", "he+ihc")) for seed, name in enumerate(("a", LONG))]
    compared = compare_runs(read_runs(runs), CompareOptions(draws=200, permutations=200))
    write_comparison_report(compared, folder / "compared" / "report.html")
    write_report(write_study(folder / "study"))
    return {
        "run": folder / "run" / "report.html",
        "odd": folder / "odd" / "report.html",
        "comparison": folder / "compared" / "report.html",
        "study": folder / "study" / "report.html",
    }


@pytest.fixture(params=["run", "odd", "comparison", "study"])
def page(request: pytest.FixtureRequest, pages: dict[str, Path]) -> Path:
    return pages[request.param]


def test_a_page_opens_from_disk_without_error_or_request_and_fits_every_window(page: Path, browser: Any) -> None:
    for scheme in ("light", "dark"):
        tab = browser.new_page(color_scheme=scheme)
        said: list[str] = []
        asked: list[str] = []
        tab.on("console", lambda message, said=said: said.append(message.text))
        tab.on("pageerror", lambda error, said=said: said.append(str(error)))
        tab.on("request", lambda request, asked=asked: asked.append(request.url))
        tab.goto(page.as_uri())
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 900})
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, (scheme, width)
        assert said == []
        assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
        tab.close()


def test_charts_and_pictures_are_drawn_and_keep_inside_the_page(page: Path, browser: Any) -> None:
    tab = browser.new_page(viewport={"width": 375, "height": 800})
    tab.goto(page.as_uri())
    boxes = tab.eval_on_selector_all(
        "figure svg, img", "all => all.map(one => one.getBoundingClientRect()).map(b => [b.left, b.right, b.height])"
    )
    assert boxes  # a comparison has one plot, the others more
    assert all(left >= 0 and right <= 375 and height > 10 for left, right, height in boxes)
    assert tab.eval_on_selector_all("img", "all => all.every(one => one.complete && one.naturalWidth > 0)")
    tab.close()


def test_text_of_a_chart_has_the_colour_of_the_page(pages: dict[str, Path], browser: Any) -> None:
    colours = []
    for scheme in ("light", "dark"):
        tab = browser.new_page(color_scheme=scheme)
        tab.goto(pages["run"].as_uri())
        body = tab.evaluate("getComputedStyle(document.body).color")
        assert tab.eval_on_selector("figure svg text", "one => getComputedStyle(one).fill") == body
        colours.append((body, tab.evaluate("getComputedStyle(document.body).backgroundColor")))
        tab.close()
    assert colours[0][0] != colours[1][0] and colours[0][1] != colours[1][1]


def test_tables_sort_by_value_with_the_keyboard_and_say_so(pages: dict[str, Path], browser: Any) -> None:
    tab = browser.new_page()
    tab.goto(pages["run"].as_uri())
    table = tab.locator("#metrics table.sortable").nth(1)
    head = table.locator("thead th", has_text="Sensitivity")
    column = head.evaluate("one => one.cellIndex")

    def values() -> list[float]:
        cells = table.locator(f"tbody tr > :nth-child({column + 1}) data")
        return [float(value) for value in cells.evaluate_all("all => all.map(one => one.dataset.value)")]

    before = values()
    assert head.get_attribute("aria-sort") == "none"
    head.locator("button").focus()
    tab.keyboard.press("Enter")
    assert values() == sorted(before) != before
    assert head.get_attribute("aria-sort") == "ascending"
    tab.keyboard.press("Space")
    assert values() == sorted(before, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    table.locator("thead th button").first.click()
    assert head.get_attribute("aria-sort") == "none"
    names = table.locator("tbody th").all_inner_texts()
    assert names == sorted(names)
    tab.close()


def test_what_is_not_there_is_sorted_last_both_ways(pages: dict[str, Path], browser: Any) -> None:
    tab = browser.new_page()
    tab.goto(pages["study"].as_uri())
    table = tab.locator("#runs table.sortable").nth(1)
    button = table.locator("thead th", has_text="Seconds").locator("button")
    for _ in range(2):
        button.click()
        assert table.locator("tbody tr").last.locator("data").first.get_attribute("data-value") == ""
    tab.close()


def test_the_first_thing_that_the_keyboard_reaches_skips_to_the_content(pages: dict[str, Path], browser: Any) -> None:
    tab = browser.new_page()
    tab.goto(pages["run"].as_uri())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "content"
    tab.close()


def test_a_printed_page_is_black_on_white_and_has_no_navigation(pages: dict[str, Path], browser: Any) -> None:
    tab = browser.new_page(color_scheme="dark")
    tab.goto(pages["run"].as_uri())
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert tab.pdf()[:4] == b"%PDF"
    tab.close()


def test_names_with_markup_are_read_as_they_are_written(pages: dict[str, Path], browser: Any) -> None:
    tab = browser.new_page()
    tab.goto(pages["odd"].as_uri())
    assert tab.locator("b").count() == 0
    assert tab.locator("th[scope=row]", has_text="<b>x</b>").count() > 0
    tab.close()
