from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathfuse.errors import RegistrationError
from pathfuse.register.field import Field
from pathfuse.register.files.metaimage import read_mha, write_mha


def field(channels: int = 2) -> Field:
    values = np.random.default_rng(0).normal(0, 20, (5, 7, channels)).astype(np.float32)
    return Field(values, (12.5, 13.0))


def test_a_field_comes_back_as_it_was(tmp_path: Path) -> None:
    write_mha(tmp_path / "a.mha", field())
    back = read_mha(tmp_path / "a.mha")
    np.testing.assert_array_equal(back.values, field().values)
    assert back.pitch == field().pitch


def test_simpleitk_reads_it_and_moves_points_as_we_do(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="needs pathfuse[register]")
    write_mha(tmp_path / "a.mha", field())
    image = sitk.ReadImage(str(tmp_path / "a.mha"), sitk.sitkVectorFloat64)
    transform = sitk.DisplacementFieldTransform(image)
    for point in [(30.0, 20.0), (41.0, 50.0), (70.0, 33.0)]:
        ours = np.array(point) + field().at(np.array([point]))[0]
        np.testing.assert_allclose(transform.TransformPoint(point), ours, atol=1e-3)


def test_what_simpleitk_writes_is_read(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="needs pathfuse[register]")
    image = sitk.GetImageFromArray(field().values, isVector=True)
    image.SetSpacing((12.5, 13.0))
    image.SetOrigin((6.25, 6.5))
    sitk.WriteImage(image, str(tmp_path / "b.mha"), False)
    np.testing.assert_array_equal(read_mha(tmp_path / "b.mha").values, field().values)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("MET_FLOAT", "MET_SHORT", "ElementType"),
        ("DimSize = 7 5", "DimSize = 7 50000", "bytes"),
        ("DimSize = 7 5", "DimSize = 7", "DimSize"),
        ("DimSize = 7 5", "DimSize = nan 5", "DimSize"),
        ("CompressedData = False", "CompressedData = True", "CompressedData"),
        ("LOCAL", "/etc/passwd", "header"),
        ("Offset = 6.25", "Offset = 99.5", "corner"),
    ],
)
def test_a_changed_header_is_one_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "a.mha"
    write_mha(path, field())
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    with pytest.raises(RegistrationError, match=says) as found:
        read_mha(path)
    assert "\n" not in str(found.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.integers(0, 500))
def test_no_bytes_do_more_than_raise_our_error(tmp_path: Path, noise: bytes, at: int) -> None:
    path = tmp_path / "c.mha"
    write_mha(path, field())
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    try:
        assert np.isfinite(read_mha(path).values).all()
    except RegistrationError as error:
        assert str(path) in str(error)
