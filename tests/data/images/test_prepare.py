import numpy as np
import pytest
from PIL import Image

from pathfuse.data.images.prepare import Preparation, preparations
from pathfuse.errors import ImageError, RecipeError
from pathfuse.slides.macenko import Macenko
from tests.data.pairs import save_image


def save(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def test_shrinking_averages_areas(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    got = Preparation(4)(save(tmp_path / "a.png", pixels))
    expected = pixels.reshape(4, 2, 4, 2, 3).mean((1, 3)).transpose(2, 0, 1)
    assert got.shape == (3, 4, 4)
    assert got.dtype == np.uint8
    assert np.abs(got - expected).max() <= 1


def test_the_right_size_is_left_alone(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    assert (Preparation(6)(save(tmp_path / "a.png", pixels)) == pixels.transpose(2, 0, 1)).all()


def test_an_oblong_image_is_cut_to_its_central_square(tmp_path):
    pixels = np.zeros((4, 8, 3), dtype=np.uint8)
    pixels[:, 2:6] = 200
    assert (Preparation(4)(save(tmp_path / "a.png", pixels)) == 200).all()
    assert Preparation(4)(save(tmp_path / "b.png", pixels.transpose(1, 0, 2).copy())).min() == 200


def test_a_small_image_is_enlarged(tmp_path):
    assert (Preparation(8)(save(tmp_path / "a.png", np.full((4, 4, 3), 90, np.uint8))) == 90).all()


def test_stain_normalisation_comes_before_resizing(tmp_path):
    pixels = np.random.default_rng(0).integers(40, 200, (16, 16, 3), dtype=np.uint8)
    path = save(tmp_path / "a.png", pixels)
    normalised = save(tmp_path / "b.png", Macenko()(pixels))
    assert (Preparation(4, Macenko())(path) == Preparation(4)(normalised)).all()
    assert (Preparation(4, Macenko())(path) != Preparation(4)(path)).any()


def test_only_h_and_e_is_normalised_by_default(tmp_path):
    ready = preparations(["he", "ihc"], 8, ["he"], {})
    assert ready["he"].stain == Macenko()
    assert ready["ihc"].stain is None
    assert preparations(["ihc"], 8, ["he"], {})["ihc"].stain is None


def test_another_stain_is_normalised_to_a_target_image_only(tmp_path):
    with pytest.raises(RecipeError, match=r"data\.targets\.ihc"):
        preparations(["he", "ihc"], 8, ["he", "ihc"], {})
    pixels = np.random.default_rng(1).integers(40, 200, (16, 16, 3), dtype=np.uint8)
    target = save(tmp_path / "target.png", pixels)
    stain = preparations(["he", "ihc"], 8, ["ihc"], {"ihc": str(target)})["ihc"].stain
    assert np.allclose(stain.target.HE, Macenko().fit(pixels).HE)


def test_a_target_without_tissue_is_refused(tmp_path):
    target = save(tmp_path / "blank.png", np.full((16, 16, 3), 240, np.uint8))
    with pytest.raises(ImageError, match=r"blank\.png does not show two stains"):
        preparations(["he"], 8, ["he"], {"he": str(target)})


def test_a_misspelt_stain_is_refused():
    with pytest.raises(RecipeError, match="'ich'"):
        preparations(["he", "ihc"], 8, ["ich"], {})


def test_settings_tell_preparations_apart(tmp_path):
    target = save_image(tmp_path / "target.png", size=32)
    texts = {
        Preparation(8).settings(),
        Preparation(9).settings(),
        Preparation(8, Macenko()).settings(),
        Preparation(8, Macenko(beta=0.2)).settings(),
        preparations(["he"], 8, ["he"], {"he": str(target)})["he"].settings(),
    }
    assert len(texts) == 5
    assert Preparation(8, Macenko()).settings() == Preparation(8, Macenko()).settings()
