"""Repacking changes where bytes lie and nothing else."""

import h5py
import numpy as np
import pytest
import torch

from pathfuse.errors import StoreError
from pathfuse.store import open_slide
from pathfuse.store.repack import repack
from pathfuse.store.rows.mapped import MappedRows
from tests.store import foreign


def odd_file(path):
    """Every type and attribute a feature file may have."""
    values = foreign.features(70, 6)
    values[3, 1], values[5] = np.nan, np.inf
    foreign.trident(path, values, foreign.grid(70))
    with h5py.File(path, "r+") as file:
        file.create_dataset("big_endian", data=np.arange(20.0).reshape(10, 2).astype(">f4"), chunks=(1, 2))
        file.create_dataset("lead", data=np.arange(60).reshape(1, 20, 3), chunks=(1, 1, 3), compression="gzip")
        file.create_dataset("empty", (0, 6), "f2", chunks=(1, 6), maxshape=(None, 6))
        file["scalar"] = np.float32(2.5)
        for thing in (file, file["features"]):
            thing.attrs["nan"] = np.nan
            thing.attrs["fixed"] = np.bytes_("bytes")
            thing.attrs["text"] = "Żółć"
            thing.attrs["texts"] = ["a", "bc"]
            thing.attrs["pair"] = np.array([1.5, 2.5])
            thing.attrs["flag"] = True
            thing.attrs["nothing"] = h5py.Empty("f4")
    return path


def described(path):
    with h5py.File(path) as file:

        def attributes(thing):
            return [
                (n, str(thing.attrs.get_id(n).dtype), thing.attrs.get_id(n).shape, repr(thing.attrs[n]))
                for n in thing.attrs
            ]

        arrays = {n: (d.dtype.str, d.shape, d[()].tobytes(), attributes(d)) for n, d in file.items()}
        return arrays, attributes(file), {n: d.chunks for n, d in file.items()}


def test_arrays_and_attributes_are_equal_byte_for_byte(tmp_path):
    path = odd_file(tmp_path / "a.h5")
    assert repack(path, tmp_path / "b.h5")
    before, after = described(path), described(tmp_path / "b.h5")
    assert before[:2] == after[:2]
    assert set(after[2].values()) == {None} and before[2]["features"] == (1, 6)
    assert isinstance(open_slide(tmp_path / "b.h5").features, MappedRows)


def test_in_place_it_happens_once(tmp_path):
    path = odd_file(tmp_path / "a.h5")
    before = described(path)
    assert repack(path, path)
    assert described(path)[:2] == before[:2]
    time = path.stat().st_mtime_ns
    assert not repack(path, path) and path.stat().st_mtime_ns == time


@pytest.mark.parametrize("kind", ["clam", "stamp"])
def test_other_formats_stay_what_they_are(tmp_path, kind):
    values, coords = foreign.features(40, 4), foreign.grid(40)
    path = (
        foreign.clam(tmp_path, "a", values, coords)
        if kind == "clam"
        else foreign.stamp(tmp_path / "a.h5", values, coords)
    )
    before = open_slide(path)
    repack(path, tmp_path / "b.h5")
    after = open_slide(tmp_path / "b.h5")
    assert after.source_format == before.source_format == kind
    assert torch.equal(after.features.read(), before.features.read())


def test_what_cannot_be_copied_is_refused_and_left_alone(tmp_path):
    path = foreign.trident(tmp_path / "a.h5", foreign.features(4, 3), foreign.grid(4))
    with h5py.File(path, "r+") as file:
        file.create_group("more")
    data = path.read_bytes()
    with pytest.raises(StoreError, match="more is a group"):
        repack(path, path)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreError, match="cannot be read"):
        repack(path, tmp_path / "b.h5")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.h5"]
