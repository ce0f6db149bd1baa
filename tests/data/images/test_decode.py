import numpy as np
import pytest
from PIL import Image

from pathfuse.data.images.decode import check_same_size, decode, image_size
from pathfuse.errors import ImageError
from tests.data.pairs import save_image


def failure(path) -> str:
    with pytest.raises(ImageError) as caught:
        decode(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert path.name in message
    return message


def test_a_red_pixel_stays_red(tmp_path):
    for suffix in ("png", "bmp", "tif"):
        path = tmp_path / f"red.{suffix}"
        Image.new("RGB", (3, 2), (250, 10, 5)).save(path)
        pixels = decode(path)
        assert pixels.shape == (2, 3, 3)
        assert pixels.dtype == np.uint8
        assert pixels[0, 0].tolist() == [250, 10, 5]


def test_grey_is_repeated_in_all_channels(tmp_path):
    Image.new("L", (2, 2), 77).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png")[0, 0].tolist() == [77, 77, 77]


def test_a_palette_is_looked_up(tmp_path):
    image = Image.new("RGB", (2, 2), (0, 200, 100)).convert("P")
    image.save(tmp_path / "a.png")
    expected = image.convert("RGB").getpixel((0, 0))
    assert tuple(decode(tmp_path / "a.png")[0, 0]) == expected


def test_transparent_parts_are_white_like_glass(tmp_path):
    image = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    image.putpixel((1, 0), (10, 20, 30, 255))
    image.save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png")[0].tolist() == [[255, 255, 255], [10, 20, 30]]


def test_sixteen_bits_keep_the_upper_eight(tmp_path):
    Image.fromarray(np.array([[0, 255, 256, 65535]], dtype=np.uint16)).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png")[0, :, 0].tolist() == [0, 0, 1, 255]


def test_one_bit_and_cmyk_become_rgb(tmp_path):
    Image.new("1", (2, 2), 1).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png")[0, 0].tolist() == [255, 255, 255]
    Image.new("CMYK", (2, 2), (0, 0, 0, 0)).save(tmp_path / "b.jpg")
    assert decode(tmp_path / "b.jpg").shape == (2, 2, 3)


def test_thirty_two_bits_are_refused(tmp_path):
    Image.new("F", (2, 2), 0.5).save(tmp_path / "a.tif")
    assert "32 bits" in failure(tmp_path / "a.tif")


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    assert "0 bytes" in failure(tmp_path / "a.png")


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not an image at all")
    assert "no image" in failure(tmp_path / "a.png")


def test_a_missing_file_is_named(tmp_path):
    assert "does not exist" in failure(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_a_file_that_is_cut_short_is_named(tmp_path, suffix, share):
    path = save_image(tmp_path / f"a.{suffix}", size=64)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    failure(path)


def test_damage_at_any_place_is_an_image_or_one_line(tmp_path):
    path = save_image(tmp_path / "a.png", size=16)
    content = path.read_bytes()
    refused = 0
    for place in range(8, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            decode(path)
        except ImageError as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
    assert refused > 0


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = save_image(tmp_path / "a.png", size=64)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    assert "too many pixels" in failure(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "too many pixels" in failure(path)


def test_partners_of_another_size_are_named_with_both_sizes(tmp_path):
    first, second = save_image(tmp_path / "a.png", size=32), save_image(tmp_path / "b.png", size=24)
    check_same_size([first, first])
    check_same_size([first])
    assert image_size(second) == (24, 24)
    with pytest.raises(ImageError, match=r"b\.png is 24 x 24 px, but its partner .*a\.png is 32 x 32"):
        check_same_size([first, second])


def test_a_photograph_that_was_stored_turned_is_turned_back(tmp_path):
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(pixels).save(tmp_path / "half.png", exif=exif)
    assert np.array_equal(decode(tmp_path / "half.png"), pixels[::-1, ::-1])
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "quarter.png", exif=exif)
    assert decode(tmp_path / "quarter.png").shape == (16, 8, 3) and image_size(tmp_path / "quarter.png") == (8, 16)
