"""The page of a study: every run, stains in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pathfuse.report.write import write_report
from tests.report.reading import beside, read
from tests.report.runs import write_study, write_whole_run


def test_a_study_of_one_variant_names_stains_in_words_and_what_no_model_scores(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study")
    write_whole_run(folder / "a" / "seed1" / "r0f0", subsets=("he",), patients=20)
    write_whole_run(folder / "b" / "seed1" / "r0f0", subsets=("he",), patients=20)
    (folder / "tables" / "stains.csv").write_text("variant,given,metric,mean\na,he+ihc,auroc,0.5\n")
    write_report(folder)
    rows = beside(folder / "report.html")["sections"]["variants"]["spread"]
    assert [row["variant"] for row in rows] == ["a", "b", "chance (even draw)", "majority (always 0)"]
    assert rows[2]["accuracy"] == rows[3]["accuracy"] == 0.25 and rows[2]["runs"] is None
    cells = read(folder / "report.html").text.split()
    assert "H&E" in cells and not {"he", "he+ihc", "auroc"} & set(cells)


def test_a_study_tells_what_became_of_every_run(study: Path) -> None:
    content, found = beside(study)["sections"], read(study)
    assert content["runs"]["states"] == [{"status": "done", "runs": 3}, {"status": "failed", "runs": 1}]
    assert "out of <memory>" in found.text and len(found.all("script")) == 1
    spread = content["variants"]["spread"][0]
    assert (spread["variant"], spread["auroc"], spread["runs"]) == ("a", pytest.approx(0.55), 2)
    assert spread["auroc_sd"] == pytest.approx(np.std([0.5, 0.6], ddof=1))
    assert content["own"]["table_table_1"][1] == {"variant": "b", "mean": 0.625, "published": 0.9}
    assert found.all("img")[0]["src"].startswith("data:image/svg+xml;base64,")
    assert "fewer than two variants are finished" in found.text
