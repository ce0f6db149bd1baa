import io

import numpy as np
import pytest
from PIL import Image

from pathfuse.slides.formats.jpeg import decode_jpeg
from tests.slides.drawing import section


def parts(stream: bytes) -> tuple[bytes, bytes]:
    """A JPEG stream without its tables and without JFIF's marker, and the tables as a TIFF keeps them."""
    tables, rest, place = b"", b"", 2
    while stream[place : place + 2] != b"\xff\xda":
        size = 2 + int.from_bytes(stream[place + 2 : place + 4], "big")
        marker, segment = stream[place + 1], stream[place : place + size]
        if marker in (0xDB, 0xC4):
            tables += segment
        elif marker not in (0xE0, 0xEE):
            rest += segment
        place += size
    return b"\xff\xd8" + rest + stream[place:], b"\xff\xd8" + tables + b"\xff\xd9"


def encoded(image: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


@pytest.mark.parametrize("keep_rgb", [False, True])
def test_the_tiff_says_what_the_channels_are(keep_rgb: bool) -> None:
    image = section(64)
    stream = encoded(image, keep_rgb=keep_rgb)
    data, tables = parts(stream)
    wanted = np.asarray(Image.open(io.BytesIO(stream)))
    assert np.array_equal(decode_jpeg(data, tables, ycbcr=not keep_rgb), wanted)
    assert np.abs(wanted.astype(int) - image).mean() < 3


def test_streams_with_their_own_tables_and_grey_ones_are_read() -> None:
    image = section(64)
    whole = encoded(image)
    assert np.array_equal(decode_jpeg(whole, None, ycbcr=True), np.asarray(Image.open(io.BytesIO(whole))))
    grey = decode_jpeg(encoded(image[..., 0]), None, ycbcr=False)
    assert grey.shape == (64, 64, 1)


def test_a_damaged_stream_is_an_error() -> None:
    whole = encoded(section(64))
    for data in (b"", b"no jpeg at all", whole[: len(whole) // 2], whole[:30]):
        with pytest.raises(OSError, match=r".+"):
            decode_jpeg(data, None, ycbcr=True)
