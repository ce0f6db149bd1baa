"""The built site in a real browser: pictures, search, copy buttons, folded parts, small and dark screens.

It looks at what `make docs` has left in `build/docs`, and is skipped where that is not there or older than a page.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.chromium import needs_chromium
from tests.conftest import PROJECT_ROOT

SITE = PROJECT_ROOT / "build" / "docs"
LOOKED_AT = ("index", "install", "numbers", "recipes/corranet", "commands", "examples/index", "examples/tutorial")


def is_current() -> bool:
    """Whether the site was built after the last change of its sources."""
    search = SITE / "searchindex.js"  # written last
    sources = [path for path in (PROJECT_ROOT / "docs").rglob("*") if path.suffix in (".md", ".py", ".css")]
    return search.is_file() and search.stat().st_mtime >= max(path.stat().st_mtime for path in sources)


pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not is_current(), reason="no site here that is built from these pages; make docs"),
]


@pytest.mark.parametrize("name", LOOKED_AT)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_opens_without_error_fits_every_window_and_has_its_pictures(
    name: str, scheme: str, browser: Any
) -> None:
    tab = browser.new_page(color_scheme=scheme)
    said: list[str] = []
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto((SITE / f"{name}.html").as_uri())
    for width in (375, 768, 1280):
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, width
    tab.evaluate("document.querySelectorAll('img').forEach(one => { one.loading = 'eager'; })")
    tab.wait_for_function("Array.from(document.images).every(one => one.complete)")
    assert tab.eval_on_selector_all("img", "all => all.every(one => one.naturalWidth > 0)")
    assert said == []
    tab.close()


def test_commands_have_a_button_that_copies_them(browser: Any) -> None:
    tab = browser.new_page()
    tab.goto((SITE / "install.html").as_uri())
    blocks = tab.locator("div.highlight pre").count()
    assert blocks and tab.locator("button.copybtn").count() == blocks
    tab.close()


def test_search_finds_a_page(browser: Any) -> None:
    tab = browser.new_page()
    tab.goto((SITE / "search.html").as_uri() + "?q=registration")
    tab.wait_for_selector("ul.search li a")
    assert any(
        "registration" in link for link in tab.eval_on_selector_all("ul.search li a", "all => all.map(a => a.href)")
    )
    tab.close()


def test_the_navigation_leads_to_every_page(browser: Any) -> None:
    tab = browser.new_page()
    tab.goto((SITE / "index.html").as_uri())
    names = tab.eval_on_selector_all(".sidebar-tree a.internal", "all => all.map(a => a.getAttribute('href'))")
    assert {"install.html", "examples/tutorial.html", "examples/index.html", "glossary.html"} <= set(names)
    assert all((SITE / name.partition("#")[0]).is_file() for name in names if not name.startswith("#"))
    tab.close()


def test_a_folded_part_opens_with_its_table(browser: Any) -> None:
    tab = browser.new_page(viewport={"width": 375, "height": 900})
    tab.goto((SITE / "recipes" / "corranet.html").as_uri())
    part = tab.locator("details").nth(1)
    assert not part.locator("table").is_visible()
    part.locator("summary").click()
    assert part.locator("table").is_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 375
    tab.close()
