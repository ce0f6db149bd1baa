import numpy as np
import pytest
import torch
from PIL import Image

from pathfuse.errors import RunError
from pathfuse.explain.overlay import GAP_PX, LINE_PX, SCALE_PX, colours, overlay, read_parts, titled, write_png


def halves(size_px=256):
    cam = torch.zeros(size_px, size_px)
    cam[:, : size_px // 2] = 1
    return cam


def test_the_picture_is_image_then_map_then_scale():
    image = torch.rand(3, 256, 256)
    picture = overlay(image, halves())
    assert picture.shape == (256, 2 * 256 + 2 * GAP_PX + SCALE_PX, 3)
    np.testing.assert_allclose(picture[:, :256], image.movedim(0, 2).numpy() * 255, atol=0.51)
    np.testing.assert_array_equal(picture[0, -1], (colours(np.array(1.0)) * 255).round())
    np.testing.assert_array_equal(picture[-1, -1], (colours(np.array(0.0)) * 255).round())


def test_low_values_leave_the_grey_image_and_high_values_colour_it():
    panel = overlay(torch.full((3, 256, 256), 0.6), halves())[:, 256 + GAP_PX : 512 + GAP_PX]
    assert (panel[:, 128:] == 153).all()
    assert panel[0, 0, 2] < 80 and panel[0, 0, 0] > 200  # yellow


def test_colours_rise_in_lightness_so_that_they_survive_grey_print():
    luminance = colours(np.linspace(0, 1, 100)) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()


def test_a_small_patch_is_enlarged_by_a_whole_factor():
    picture = overlay(torch.rand(3, 50, 60), torch.rand(50, 60))
    assert picture.shape[:2] == (250, 2 * 300 + 2 * GAP_PX + SCALE_PX)


def test_an_image_of_other_channels_is_shown_in_grey():
    picture = overlay(torch.rand(6, 256, 256), halves())
    assert (picture[:, :256].std(axis=2) == 0).all()


def test_a_title_stands_above_the_map_and_a_long_one_takes_more_lines():
    picture = overlay(torch.rand(3, 256, 256), halves())
    made = [titled(picture, text) for text in ("case a, H&E", "case a, H&E\npredicted 2+ (0.83), true 3+", "x" * 200)]
    for one, lines in zip(made, (1, 2, 3), strict=True):
        above = one.shape[0] - picture.shape[0]
        assert above == lines * LINE_PX + 2 * GAP_PX
        np.testing.assert_array_equal(one[above:, : picture.shape[1]], picture)
        assert (one[:above] < 128).any()  # letters
    # The ends of the scale are named beside it.
    beside = made[0][:, picture.shape[1] :]
    first = made[0].shape[0] - picture.shape[0]
    assert (beside[first : first + 20] < 128).any() and (beside[-20:] < 128).any()


def test_a_picture_is_written_whole(tmp_path):
    picture = overlay(torch.rand(3, 64, 64), torch.rand(64, 64))
    write_png(tmp_path / "a.png", picture)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), picture)


@pytest.mark.parametrize("title", ["", "case a, H&E, GradCAM\npredicted 2+ (0.31), true 0"])
def test_the_image_and_the_map_are_found_again_below_a_title(tmp_path, title):
    image, cam = torch.rand(3, 64, 64), torch.rand(64, 64)
    picture = overlay(image, cam)
    write_png(tmp_path / "a.png", picture, title=title)
    own, shown = read_parts(tmp_path / "a.png")
    assert own.shape == shown.shape == (256, 256, 3)
    np.testing.assert_array_equal(own, picture[:, :256])
    np.testing.assert_array_equal(shown, picture[:, 256 + GAP_PX : 512 + GAP_PX])


def test_a_picture_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path):
    folder = tmp_path / "file"
    folder.write_text("not a folder")
    with pytest.raises(RunError, match="cannot be written"):
        write_png(folder / "a.png", np.zeros((4, 4, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
