"""`pathfuse register` from words to files and on to predictions, on sections whose map is known."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pathfuse.cli import main
from pathfuse.demo import DemoCohort, SerialPictures
from pathfuse.demo.serial.sections import SerialPair
from pathfuse.register.contract import Section
from pathfuse.register.files.record import read_record
from pathfuse.register.mapping import map_points
from pathfuse.register.method.given import GivenTransform
from pathfuse.slides.opening import open_slide

pytest.importorskip("SimpleITK", reason="needs pathfuse[register]")


# What makes the model small; a user leaves it away.
SMALL = ["--data.size_px=32", "--correlate.trainer.max_epochs=1", "--predict.trainer.max_epochs=1"]
SMALL += ["--predict.model.encoder.backbone.name=test_resnet", "--loading.batch_size=8"]


def statuses(out: Path) -> dict[str, dict[str, str]]:
    with (out / "status.csv").open() as file:
        return {row["pair"]: row for row in csv.DictReader(file)}


def truth(serial: Path, case: str = "P0000-01") -> np.ndarray:
    return np.loadtxt(serial.parent / "truth" / "points" / f"{case}.csv", delimiter=",", skiprows=1)


def slides(serial: Path, he: int = 0, ihc: int = 0) -> list[str]:
    root = serial.parent / "slides"
    return [str(root / "he" / f"P000{he}-01.png"), str(root / "ihc" / f"P000{ihc}-01.png")]


def test_known_maps_are_found_and_scored(registered: Path) -> None:
    rows = statuses(registered)
    assert sorted(rows) == ["P0000-01-ihc", "P0001-01-ihc", "P0002-01-ihc"]
    for row in rows.values():
        assert row["status"] in ("accepted", "review")
        assert float(row["landmarks_median_px"]) <= 20  # a pixel is a micrometre
        assert float(row["consistency_um"]) < 20


def test_points_are_carried_there_and_back(registered: Path, serial: Path, tmp_path: Path) -> None:
    known = truth(serial)
    moved = map_points(registered, known[:, :2], pair="P0000-01-ihc")
    assert np.median(np.hypot(*(moved - known[:, 2:]).T)) <= 20
    table = tmp_path / "points.csv"
    table.write_text("name,x,y\n" + "".join(f"p{i},{x},{y}\n" for i, (x, y) in enumerate(known[:, :2].tolist())))
    words = ["register", "map", str(registered), str(table), "--pair", "P0000-01-ihc"]
    assert main([*words, "--out", str(tmp_path / "there.csv")]) == 0
    words[3] = str(tmp_path / "there.csv")
    assert main([*words, "--inverse", "--out", str(tmp_path / "back.csv")]) == 0
    with (tmp_path / "back.csv").open() as file:
        back = list(csv.DictReader(file))
    assert [row["name"] for row in back] == [f"p{i}" for i in range(len(known))]
    np.testing.assert_allclose([[float(row["x"]), float(row["y"])] for row in back], known[:, :2], atol=0.01)


def test_the_same_line_again_does_nothing_and_other_settings_are_refused(
    registered: Path, serial: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (registered / "P0000-01-ihc" / "transform.json").stat().st_mtime_ns
    points = serial.parent / "truth" / "points" / "{case}.csv"
    line = ["register", str(serial), "--out", str(registered), "--landmarks", str(points)]
    assert main(line) == 0
    assert (registered / "P0000-01-ihc" / "transform.json").stat().st_mtime_ns == before
    assert main([*line, "--method.bend", "false"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_everything_that_is_written_is_open(registered: Path) -> None:
    folder = registered / "P0000-01-ihc"
    assert {path.suffix for path in folder.iterdir()} == {".json", ".mha", ".jpg"}
    with Image.open(folder / "error.jpg") as image:
        picture = np.asarray(image).astype(int)
    assert np.ptp(picture[4, 4]) < 8 < 30 < np.ptp(picture[picture.shape[0] // 2, picture.shape[1] // 2]), (
        "glass is grey"
    )
    document = json.loads((folder / "transform.json").read_text())
    assert np.shape(document["affine_um"]) == (3, 3)
    page = (registered / "register.html").read_text()
    assert "P0000-01-ihc" in page and "data:image/jpeg;base64," in page and "http://" not in page
    record = read_record(folder)
    assert record.verdict == document["verdict"]
    assert record.trust.values.shape[2] == 2


def test_a_small_strangers_slide_is_refused_though_both_ways_lay_it_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a millimetre, face down: there and back agree to 2 um, patches are more alike than 90 % of random ones."""
    who, pictures = DemoCohort(patients=13, seed=101), SerialPictures(slide_px=512)
    stranger = SerialPair(who, replace(pictures, mirrored=1.0), 3)
    for stain, pair in (("he", SerialPair(who, pictures, 2)), ("ihc", stranger)):
        Image.fromarray(pair.image(stain)).save(tmp_path / f"{stain}.png")
    files = [str(tmp_path / f"{stain}.png") for stain in ("he", "ihc")]
    assert main(["register", *files, "--slide-mpp", "1", "--out", str(tmp_path / "o")]) == 1
    (row,) = statuses(tmp_path / "o").values()
    assert row["status"] == "refused" and "the best other placement is as good" in row["reason"]
    assert float(row["consistency_um"]) < 20 and float(row["lead"]) < 0.05
    assert "Traceback" not in capsys.readouterr().err
    (tmp_path / "points.csv").write_text("x,y\n250,250\n")
    assert (
        main(["register", "map", str(tmp_path / "o"), str(tmp_path / "points.csv"), "--out", f"{tmp_path}/m.csv"]) == 0
    )
    assert "this registration was refused, and its points mean nothing" in capsys.readouterr().err


def one_line(out: Path) -> str:
    (row,) = statuses(out).values()
    assert row["status"] == "failed"
    assert row["reason"] and "\n" not in row["reason"]
    return row["reason"]


def test_a_blank_slide_is_one_line(serial: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 300), (244, 243, 245)).save(tmp_path / "blank.png")
    words = [slides(serial)[0], str(tmp_path / "blank.png"), "--slide-mpp", "1", "--out", str(tmp_path / "o")]
    assert main(["register", *words]) == 1
    assert "no tissue" in one_line(tmp_path / "o")


def test_a_slide_that_is_laid_on_itself_is_one_line(serial: Path, tmp_path: Path) -> None:
    own = slides(serial)[0]
    assert main(["register", own, own, "--slide-mpp", "1", "--out", str(tmp_path / "o")]) == 1
    assert one_line(tmp_path / "o").endswith("is given as both slides. Name that of the other section.")


def test_a_slide_without_spacing_is_one_line(serial: Path, tmp_path: Path) -> None:
    assert main(["register", *slides(serial), "--out", str(tmp_path / "o")]) == 1
    assert "--slide-mpp" in one_line(tmp_path / "o")


def test_a_spacing_that_differs_tenfold_is_one_line(serial: Path, tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    he, ihc = slides(serial)
    table.write_text(f"case_id,patient_id,modality,path,mpp\na,a,he,{he},1\na,a,ihc,{ihc},10\n")
    assert main(["register", str(table), "--out", str(tmp_path / "o")]) == 1
    assert "differ 10.0 times" in one_line(tmp_path / "o")


def test_a_transform_made_elsewhere_is_measured_and_its_sizes_are_checked(serial: Path, tmp_path: Path) -> None:
    known = truth(serial)
    best, *_ = np.linalg.lstsq(np.hstack([known[:, :2], np.ones((len(known), 1))]), known[:, 2:], rcond=None)
    matrix = np.vstack([best.T, [0, 0, 1]])
    np.save(tmp_path / "a.npy", matrix)
    sizes = {"fixed_size": [640, 640], "moving_size": [640, 640]}
    (tmp_path / "b.json").write_text(json.dumps({"affine": matrix.tolist(), **sizes}))
    points = serial.parent / "truth" / "points" / "P0000-01.csv"
    out = tmp_path / "o"
    words = ["register", *slides(serial), "--slide-mpp", "1", "--out", str(out), "--transform", str(tmp_path / "a.npy")]
    assert main(words) == 0
    np.testing.assert_allclose(read_record(out / "P0000-01-ihc").transform.matrix, matrix, atol=1e-6)
    # Other forms of the same hold the same matrix; reading them needs no registration.
    with open_slide(Path(slides(serial)[0]), mpp=1) as he, open_slide(Path(slides(serial)[1]), mpp=1) as ihc:
        for file in (tmp_path / "b.json", points):
            found = GivenTransform(file=str(file)).register(Section(he, "he"), Section(ihc, "ihc"))
            np.testing.assert_allclose(found.matrix, matrix, atol=1e-6)
    (tmp_path / "b.json").write_text(json.dumps({"affine": matrix.tolist(), **sizes, "moving_size": [641, 640]}))
    words = ["register", *slides(serial), "--slide-mpp", "1", "--out", str(tmp_path / "p")]
    assert main([*words, "--transform", str(tmp_path / "b.json")]) == 1
    assert "[641, 640]" in one_line(tmp_path / "p")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("a,b\n1,2\n", "column fixed_x is missing"),
        ("fixed_x,fixed_y,moving_x,moving_y\n5,5,5,5\n900,5,9,5\n", "landmark 2 (900, 5) lies beyond P0000-01.png"),
    ],
)
def test_landmarks_of_other_slides_are_one_line_before_any_work(
    table: str, says: str, serial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("nothing is registered for landmarks that are wrong")

    monkeypatch.setattr("pathfuse.register.method.stages.SerialSections.register", never)
    (tmp_path / "landmarks.csv").write_text(table)
    words = ["register", *slides(serial), "--slide-mpp", "1", "--out", str(tmp_path / "o")]
    assert main([*words, "--landmarks", str(tmp_path / "landmarks.csv")]) == 1
    assert says in one_line(tmp_path / "o")


def test_points_beyond_the_slide_are_said(registered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "points.csv"
    words = ["register", "map", str(registered), str(table), "--pair", "P0000-01-ihc", "--out", str(tmp_path / "o.csv")]
    table.write_text("x,y\n10,10\n9000,10\n")
    assert main(words) == 0
    assert "1 of them lie beyond their slide" in capsys.readouterr().out
    table.write_text("x,y\n-5,10\n9000,10\n")
    assert main(words) == 2
    assert "all 2 points lie beyond P0000-01.png, which is 640 x 640 px" in capsys.readouterr().err


def test_slides_that_changed_after_registration_are_noticed(registered: Path, serial: Path, tmp_path: Path) -> None:
    record = read_record(registered / "P0001-01-ihc")
    other = tmp_path / "other.png"
    Image.new("RGB", (300, 300), "white").save(other)
    from pathfuse.errors import RegistrationError

    with pytest.raises(RegistrationError, match="another slide"):
        replace(record.fixed, path=str(other)).open()


def test_registered_slides_become_pairs_a_model_and_predictions(registered: Path, tmp_path: Path) -> None:
    pairs, run, out = (str(tmp_path / name) for name in ("pairs", "run", "predicted"))
    assert main(["pairs", str(registered), "--patch-px", "96", "--mpp", "1", "--out", pairs]) == 0
    with (tmp_path / "pairs" / "cases.csv").open() as file:
        cut = list(csv.DictReader(file))
    assert {row["patient_id"] for row in cut} == {"P0000", "P0001", "P0002"}
    assert main(["fit", "--recipe", "corranet", "--layer", "demo", "--cases", pairs, "--out", run, *SMALL]) == 0
    assert main(["predict", run, "--out", out]) == 0
    with (tmp_path / "predicted" / "predictions.csv").open() as file:
        predicted = [row for row in csv.DictReader(file)]
    assert {row["case_id"] for row in predicted} <= {row["case_id"] for row in cut}
    shares = [[float(value) for key, value in row.items() if key.startswith("p_")] for row in predicted]
    np.testing.assert_allclose(np.sum(shares, axis=1), 1, atol=1e-4)
