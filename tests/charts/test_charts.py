"""Charts: well-formed, reproducible, readable without colour, and safe with any name."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from math import nan

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from pathfuse.charts.confusion import confusion
from pathfuse.charts.grouped import GroupedBar, grouped_bars
from pathfuse.charts.lines import Line, curves, precision_recall, risk_coverage, roc, roc_panels
from pathfuse.charts.pictures import picture_grid
from pathfuse.charts.points import Bar, Bin, Estimate, bars, forest, reliability
from pathfuse.charts.style import COLOURS, DASHES, INK, LONGEST, MARKERS, label, svg

HOSTILE = '<script>alert("x")</script>&amp; $\\frac{1}{0}$ ]]> \x00 é 漢'
Make = Callable[[str], Figure]
PIXELS = np.full((4, 4, 3), 128, dtype=np.uint8)
LINE = Line([0.0, 0.5, 1.0], [0.0, 0.75, 1.0], "0.75")
CHARTS: dict[str, Make] = {
    "roc": lambda name: roc({name: LINE, "b": LINE}),
    "precision_recall": lambda name: precision_recall({name: LINE, "b": LINE}),
    "risk_coverage": lambda name: risk_coverage({name: LINE}, (0.5, 0.1)),
    "curves": lambda name: curves({name: LINE, "val": LINE}, y="Loss", selected=1.0),
    "confusion": lambda name: confusion([[3, 1], [0, 7]], [name, "b"]),
    "reliability": lambda name: reliability({name: [Bin(0.2, 0.3, 5), Bin(0.8, 0.9, 7)], "b": []}),
    "forest": lambda name: forest([Estimate(name, 0.1, 0.05, 0.2), Estimate("b", -0.1, nan, nan)], x="Difference"),
    "roc_panels": lambda name: roc_panels({name: {"a": LINE, "b": LINE}, "other": {"a": LINE}}),
    "grouped": lambda name: grouped_bars(
        {name: {"a": GroupedBar(0.5, [0.4, 0.6], 0.7), "b": GroupedBar(-0.1)}, "g": {name: GroupedBar(0.2)}},
        y="MEC",
        said=["a - b: p 0.04"],
    ),
    "pictures": lambda name: picture_grid([name, "1+"], ["he", name], [[PIXELS, None], [None, PIXELS]]),
    "bars": lambda name: bars([Bar(name, 0.5, [0.4, 0.6]), Bar("b", 0.2)], y="Accuracy"),
}


@pytest.fixture(params=CHARTS)
def make(request: pytest.FixtureRequest) -> Make:
    return CHARTS[request.param]


def test_a_chart_is_one_well_formed_element_with_title_and_description(make: Make) -> None:
    root = ET.fromstring(svg(make("a"), "ROC <of> he", "What & where."))
    assert root.tag.endswith("}svg") and root.get("role") == "img"
    by_id = {part.get("id"): part.text for part in root.iter() if part.get("id")}
    assert [by_id[name] for name in root.get("aria-labelledby", "").split()] == ["ROC <of> he", "What & where."]


def test_the_same_chart_has_the_same_bytes_and_no_date(make: Make) -> None:
    first, second = (svg(make("a"), "T", "D") for _ in range(2))
    assert first == second
    assert "metadata" not in first and not re.search(r"20\d\d-\d\d-\d\d", first)


def test_two_charts_share_no_id_and_every_reference_is_answered(make: Make) -> None:
    texts = [svg(make("a"), title, "D") for title in ("one", "two")]
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in texts]
    assert ids[0] and not ids[0] & ids[1]
    for text, own in zip(texts, ids, strict=True):
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', text)) <= own
        assert len(re.findall(r'\bid="', text)) == len(own)


def test_ink_is_the_colour_of_the_page_and_nothing_hides_it(make: Make) -> None:
    text = svg(make("a"), "T", "D")
    assert "currentColor" in text and INK not in text
    assert "#ffffff" not in text and "#000000" not in text


def test_nothing_outside_the_text_is_asked_for(make: Make) -> None:
    text = re.sub(r'xmlns(:\w+)?="[^"]+"', "", svg(make("a"), "T", "D"))
    assert "http" not in text and "<script" not in text
    assert all(re.search(r'href="data:image/png;base64,', image) for image in re.findall(r"<image[^>]*>", text))


def test_a_hostile_name_stays_text(make: Make) -> None:
    root = ET.fromstring(svg(make(HOSTILE), HOSTILE.replace("\x00", ""), "D"))
    assert not [part for part in root.iter() if part.tag.endswith("script")]
    assert any("<script>" in (part.text or "") for part in root.iter() if part.tag.endswith("}text"))


def test_names_are_found_in_the_chart_as_text(make: Make) -> None:
    texts = [part.text or "" for part in ET.fromstring(svg(make("equivocal"), "T", "D")).iter()]
    assert any("equivocal" in text for text in texts)


def test_colour_is_never_the_only_sign() -> None:
    assert len(set(COLOURS)) == len(set(MARKERS)) == len({str(dash) for dash in DASHES}) == 7


def test_an_interval_across_zero_is_hollow_and_one_beside_it_full() -> None:
    def faces(low: float, high: float) -> list[str]:
        text = svg(forest([Estimate("a", 0.1, low, high)], x="d"), "T", "D")
        return re.findall(r"<use [^>]*style=\"([^\"]*)\"", text)

    assert any("fill: #d55e00" in face for face in faces(0.05, 0.2))
    assert not any("fill: #d55e00" in face for face in faces(-0.05, 0.2))


def test_drawing_leaves_the_settings_of_matplotlib_alone(make: Make) -> None:
    before = dict(mpl.rcParams)
    svg(make("a"), "T", "D")
    assert dict(mpl.rcParams) == before


def test_a_long_name_is_cut_and_a_short_one_is_not() -> None:
    assert label("2+") == "2+"
    assert len(label("x" * 100)) == LONGEST and label("x" * 100).endswith("…")
    assert label("two\nlines") == "two lines"
