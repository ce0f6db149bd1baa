"""The doctor names every planted defect, and says nothing about a sound cohort."""

import h5py
import numpy as np
import pytest
import torch

from pathfuse.store import open_slide
from pathfuse.store.check import check_cohort, check_slide
from pathfuse.store.spacing import steps_of
from tests.store import foreign

N = 40
VALUES = foreign.features(N, 5)
COORDS = foreign.grid(N)
RAGGED = COORDS[np.random.default_rng(0).permutation(N)[:30]]


def texts(path, **options):
    return [finding.text for finding in check_slide(open_slide(path, **options))]


def test_a_sound_slide_has_no_finding(tmp_path):
    assert texts(foreign.trident(tmp_path / "a.h5", VALUES, COORDS), mpp=0.25) == []
    assert texts(foreign.trident(tmp_path / "b.h5", VALUES[:30], RAGGED), mpp=0.25) == []
    assert texts(foreign.stamp(tmp_path / "c.h5", VALUES[:30], RAGGED * 0.25), mpp=0.25) == []
    overlapping = np.stack([np.arange(N) * 384, np.zeros(N, int)], 1)
    assert texts(foreign.trident(tmp_path / "d.h5", VALUES, overlapping, overlap=64), mpp=0.25) == []
    assert texts(foreign.trident(tmp_path / "e.h5", VALUES[:1], COORDS[:1]), mpp=0.25) == []
    assert texts(foreign.trident(tmp_path / "f.h5", VALUES[:2], COORDS[:2] * 3), mpp=0.25) == []


@pytest.mark.parametrize(
    ("coords", "said"),
    [
        (COORDS // 2, "patches are 256 apart, but 512 level-0 px by their size: wrong unit, they are pixels of the"),
        (COORDS // 4, "patches are 128 apart, but 512 level-0 px by their size: wrong unit, they are micrometres"),
        (COORDS * 0.2527, "no whole numbers: wrong unit, they look like micrometres"),
        (COORDS * 3, "patches are 1536 apart, but 512"),
        (COORDS + 200_000, "x reaches"),
        (COORDS - 5_000, "are below 0"),
    ],
)
def test_a_wrong_unit_of_pixels_is_named(tmp_path, coords, said):
    assert any(said in text for text in texts(foreign.trident(tmp_path / "a.h5", VALUES, coords), mpp=0.25))


@pytest.mark.parametrize("mpp", [0.25, None])
def test_pixels_called_micrometres_are_named(tmp_path, mpp):
    path = foreign.stamp(tmp_path / "a.h5", VALUES, COORDS)
    assert any("patches are 512 apart, but 128 µm" in text and "pixels" in text for text in texts(path, mpp=mpp))


def test_missing_mpp_and_patch_size_are_named(tmp_path):
    found = texts(foreign.trident(tmp_path / "a.h5", VALUES, COORDS, patch_size_level0=...))
    assert any(text.startswith("no mpp") for text in found)
    assert any(text.startswith("no patch_size_level0") for text in found)


def test_duplicate_coordinates_are_counted(tmp_path):
    coords = COORDS.copy()
    coords[[3, 7]] = coords[9]
    assert any(
        "2 duplicate coordinates" in t for t in texts(foreign.trident(tmp_path / "a.h5", VALUES, coords), mpp=0.25)
    )


@pytest.mark.parametrize("layout", ["trident", "stamp", "tensor"])
def test_values_that_are_not_finite_are_counted_by_patch(tmp_path, layout):
    values = VALUES.copy()
    values[2, 0] = values[2, 1] = values[5, 0] = np.nan
    values[7, 3] = np.inf
    path = tmp_path / "a.h5"
    if layout == "tensor":
        path = tmp_path / "a.pt"
        torch.save(torch.from_numpy(values), path)
    elif layout == "stamp":
        foreign.stamp(path, values, COORDS * 0.25)
    else:
        foreign.trident(path, values, COORDS)
    found = texts(path, mpp=0.25, patch_size_level0=512)
    assert any("2 patches have NaN" in text for text in found)
    assert any("1 patches have infinite features (float16 overflowed)" in text for text in found)


def test_an_empty_slide_is_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = np.empty((0, 5), np.float32)
        file["coords"] = np.empty((0, 2))
    assert texts(tmp_path / "a.h5") == ["empty slide: it has no patch and counts as absent"]


def cohort(tmp_path, *slides):
    return [
        open_slide(foreign.trident(tmp_path / f"{number}.h5", values, COORDS, encoder=encoder), mpp=mpp)
        for number, (values, encoder, mpp) in enumerate(slides)
    ]


def test_two_encoders_or_widths_in_one_stain_are_errors(tmp_path):
    slides = cohort(tmp_path, (VALUES, "uni", 0.25), (VALUES, "conch", 0.25), (VALUES, "uni", 0.25))
    (finding,) = check_cohort({"he": slides})
    assert finding.level == "error" and "uni in 2 slides, first 0.h5; conch in 1 slides, first 1.h5" in finding.text
    slides = cohort(tmp_path, (VALUES, None, 0.25), (VALUES[:, :4], None, 0.25))
    (finding,) = check_cohort({"he": slides})
    assert finding.level == "error" and "more than one width: 5 in 1 slides" in finding.text


def test_two_encoders_of_two_stains_and_two_patch_sizes_are_warnings(tmp_path):
    he, ihc = cohort(tmp_path, (VALUES, "uni", 0.25), (VALUES, "conch", 0.25))
    (finding,) = check_cohort({"he": [he], "ihc": [ihc]})
    assert finding.level == "warning" and "encoder uni, but ihc conch" in finding.text
    (finding,) = check_cohort({"he": cohort(tmp_path, (VALUES, "uni", 0.25), (VALUES, "uni", 0.5))})
    assert finding.level == "warning" and "more than one patch size: 128.0 µm in 1 slides" in finding.text
    assert check_cohort({"he": [he], "ihc": [he]}) == []


def test_steps_are_between_neighbours_of_a_row_or_column():
    coords = torch.tensor([[0, 0], [10, 0], [30, 0], [0, 7], [10, 7]])
    assert sorted(steps_of(coords).tolist()) == [7, 7, 10, 10, 20]
