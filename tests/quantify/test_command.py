"""`pathfuse quantify` from slides to tables, QuPath and features."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr
from skimage.color import hdx_from_rgb, separate_stains

from pathfuse.cli import main
from pathfuse.slides.stain_amounts import NAMES
from pathfuse.store.read import open_slide as open_features
from tests.conftest import DATA, needs_data
from tests.qupath import shown_in_qupath
from tests.slides.drawing import section, write_pyramid


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "slides").mkdir()
    write_pyramid(tmp_path / "slides" / "brown.tif", section(1024, "dab"), mpp=1.0)
    write_pyramid(tmp_path / "slides" / "blue.tif", section(1024, "counterstain"), mpp=1.0)
    line = ["quantify", str(tmp_path / "slides"), "--out", str(tmp_path / "out"), "--patch-px", "128", "--mpp", "1"]
    assert main(line) == 0
    return tmp_path / "out"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def as_features(row: dict[str, str]) -> list[float]:
    numbers = [float(row[name]) for name in NAMES]
    return [*numbers[:-1], numbers[-1] / 300]


def test_brown_has_more_dab_than_blue(out: Path) -> None:
    found = {row["slide"]: row for row in rows(out / "slides.csv")}
    assert float(found["brown"]["dab_od"]) > 3 * float(found["blue"]["dab_od"])
    assert float(found["brown"]["positive_area"]) > float(found["blue"]["positive_area"])


def test_a_patch_has_scikit_images_mean(out: Path) -> None:
    image = section(1024, "dab")
    for row in rows(out / "patches" / "brown.csv")[:4]:
        x, y = int(row["x"]), int(row["y"])
        expected = separate_stains(image[y : y + 128, x : x + 128], hdx_from_rgb)
        assert float(row["haematoxylin"]) == pytest.approx(expected[..., 0].mean(), abs=1e-6)
        assert float(row["dab"]) == pytest.approx(expected[..., 1].mean(), abs=1e-6)


def test_features_and_geojson_say_what_the_table_says(out: Path) -> None:
    table = rows(out / "patches" / "brown.csv")
    (path,) = out.glob("*/features_StainAmounts/brown.h5")
    slide = open_features(path)
    np.testing.assert_allclose(slide.features.read().numpy(), [as_features(row) for row in table], rtol=1e-5, atol=1e-7)
    assert slide.features.read().max() <= 2  # none is much larger than the others, as the sum to 300 would be
    assert slide.level0_coords().tolist() == [[int(row["x"]), int(row["y"])] for row in table]  # type: ignore[union-attr]
    document = json.loads((out / "geojson" / "brown.geojson").read_text())
    assert len(document["features"]) == len(table)
    assert {one.kind for one in shown_in_qupath(json.dumps(document))} == {"tile"}
    first = document["features"][0]["properties"]
    assert first["objectType"] == "tile"
    assert first["measurements"]["dab_od"] == pytest.approx(float(table[0]["dab_od"]), abs=1e-6)


def test_a_slide_that_cannot_be_measured_is_named_and_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pyramid(tmp_path / "good.tif", section(1024, "dab"), mpp=1.0)
    Image.fromarray(section(1024, "dab")).save(tmp_path / "bad.png")  # no spacing
    line = ["quantify", str(tmp_path), "--out", str(tmp_path / "out"), "--patch-px", "128", "--mpp", "1"]
    assert main(line) == 1
    found = {row["slide"]: row for row in rows(tmp_path / "out" / "slides.csv")}
    assert found["good"]["status"] == "done"
    assert found["bad"]["status"] == "failed" and "--slide-mpp" in found["bad"]["reason"]
    assert main([*line[:-2], "--limits", "0.5,0.1,0.2"]) == 2
    assert "rising" in capsys.readouterr().err
    assert main([*line[:-2], "--size-px", "128"]) == 2
    assert "--size-px is now --patch-px" in capsys.readouterr().err


@needs_data
def test_real_cores_rise_with_their_score(tmp_path: Path) -> None:
    folder = DATA / "bozek_her2_tma"
    with (folder / "train.csv").open() as file:
        scores = {Path(row["filename"]).stem: int(float(row["ihc-score"])) for row in csv.DictReader(file)}
    line = ["quantify", str(folder), "--slide-mpp", "0.25", "--mpp", "2", "--patch-px", "128", "--min-tissue", "0.3"]
    assert main([*line, "--out", str(tmp_path / "o")]) == 0
    found = {row["slide"]: float(row["dab"]) for row in rows(tmp_path / "o" / "slides.csv")}
    ordered = [found[name] for name in sorted(scores, key=lambda name: scores[name]) if name in found]
    assert len(ordered) == 4
    assert ordered[3] > ordered[2] > max(ordered[:2])


@needs_data
def test_stain_goes_with_the_score_on_bci(tmp_path: Path) -> None:
    folder = DATA / "bci_thumbs" / "IHC"
    line = ["quantify", str(folder), "--slide-mpp", "2.84", "--mpp", "2.84", "--patch-px", "80", "--min-tissue", "0.1"]
    assert main([*line, "--out", str(tmp_path / "o")]) == 0
    found = rows(tmp_path / "o" / "slides.csv")
    scores = [int(row["slide"].rpartition("_")[2].removesuffix("+")) for row in found]
    assert len(found) == 24 and set(scores) == {0, 1, 2, 3}
    for name in ("dab_od", "pixel_h_sum"):
        amounts = [float(row[name] or 0) for row in found]  # a field without tissue has no patch
        assert spearmanr(amounts, scores).statistic >= 0.45, name
