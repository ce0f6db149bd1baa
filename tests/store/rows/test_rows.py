"""Any rows of any layout are read as numpy would index them, and a file is open in one process only."""

import multiprocessing
import os
import pickle

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathfuse.errors import StoreError
from pathfuse.store import open_slide
from pathfuse.store.handles import Handles
from pathfuse.store.rows.hdf5 import HDF5
from pathfuse.store.rows.mapped import MappedRows
from pathfuse.store.rows.rows import Arranged, MemoryRows

LAYOUTS = ("contiguous", "rows", "blocks", "gzip", "lead", "npy", "fortran", "big_endian", "pt", "list", "old_pt")


def write(folder, layout, values):
    path = folder / (
        "a.npy" if layout in ("npy", "fortran") else "a.pt" if "pt" in layout or layout == "list" else "a.h5"
    )
    if layout == "npy":
        np.save(path, values)
    elif layout == "fortran":
        np.save(path, np.asfortranarray(values))
    elif path.suffix == ".pt":
        tensor = torch.from_numpy(values)
        torch.save(
            list(tensor) if layout == "list" else tensor, path, _use_new_zipfile_serialization=layout != "old_pt"
        )
    else:
        options = {
            "rows": {"chunks": (1, values.shape[1])},
            "blocks": {"chunks": (32, values.shape[1]), "maxshape": (None, values.shape[1])},
            "gzip": {"chunks": (7, 3), "compression": "gzip"},
        }
        data = values[None] if layout == "lead" else values.astype(">f4") if layout == "big_endian" else values
        chunks = {"chunks": (1, 5, values.shape[1])} if layout == "lead" else options.get(layout, {})
        with h5py.File(path, "w") as file:
            file.create_dataset("features", data=data, **chunks)
    return path


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request, tmp_path_factory):
    values = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    path = write(tmp_path_factory.mktemp(request.param), request.param, values)
    return values, open_slide(path).features


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(index=st.lists(st.integers(0, 89), max_size=40))
def test_any_rows_in_any_order_are_those_of_numpy(layout, index):
    values, rows = layout
    got = rows.read(np.array(index, dtype=np.int64))
    assert got.dtype == torch.float32 and torch.equal(got, torch.from_numpy(values[index]))


def test_all_rows_are_those_of_the_file_also_when_converted(layout):
    values, rows = layout
    assert torch.equal(rows.read(), torch.from_numpy(values))
    for dtype in (torch.float16, torch.float64, torch.bfloat16):
        out = torch.empty(rows.shape, dtype=dtype)
        rows.read_into(out)
        assert torch.equal(out, torch.from_numpy(values).to(dtype))


def test_what_was_read_is_ours_to_change(layout):
    values, rows = layout
    for index in (None, np.arange(90)):
        rows.read(index).zero_()
    assert torch.equal(rows.read(), torch.from_numpy(values))


def test_rows_travel_to_another_process_without_an_open_file(layout):
    values, rows = layout
    rows.read(np.array([1]))
    assert torch.equal(pickle.loads(pickle.dumps(rows)).read(), torch.from_numpy(values))


@pytest.mark.parametrize("index", [[90], [-1], [3, 200]])
def test_a_row_that_does_not_exist_is_an_error(layout, index):
    with pytest.raises(IndexError):
        layout[1].read(np.array(index))


def test_contiguous_data_are_mapped_and_never_opened_by_hdf5(tmp_path):
    values = np.ones((9, 3), np.float16)
    rows = open_slide(write(tmp_path, "contiguous", values)).features
    HDF5.clear()
    assert isinstance(rows, MappedRows) and torch.equal(rows.read(), torch.ones(9, 3, dtype=torch.float16))
    assert len(HDF5) == 0


def test_sampling_reads_little_of_a_large_chunked_bag(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("features", (20_000, 8), "f4", chunks=(1, 8))
        for start in range(0, 20_000, 2_000):
            file["features"][start] = 2.0
    rows = open_slide(tmp_path / "a.h5").features
    asked = []
    dataset = HDF5.get(str(rows.path), rows.stamp)[rows.key]

    class Watched:
        dtype = dataset.dtype

        def __getitem__(self, key):
            asked.append(key[-1].stop - key[-1].start)
            return dataset[key]

    index = np.arange(0, 20_000, 2_000)
    assert torch.equal(torch.from_numpy(rows._some(Watched(), index)), torch.full((10, 8), 2.0))
    assert sum(asked) == 10


def _count_open(queue):
    queue.put(len(HDF5))


def test_no_open_file_crosses_a_fork(tmp_path):
    rows = open_slide(write(tmp_path, "rows", np.ones((9, 3), np.float32))).features
    HDF5.clear()
    rows.read()
    assert len(HDF5) == 1
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_count_open, args=(queue,))
    child.start()
    child.join()
    assert queue.get() == 0 and child.exitcode == 0
    assert torch.equal(rows.read(), torch.ones(9, 3))


def test_a_bounded_number_of_files_stays_open():
    closed = []
    handles = Handles(lambda path: path, closed.append, kept=2)
    for path in ("a", "b", "a", "c", "a"):
        handles.get(path)
    assert len(handles) == 2 and closed == ["b"]


def test_a_file_replaced_under_its_name_is_not_mixed_up(tmp_path):
    path = write(tmp_path, "rows", np.ones((9, 3), np.float32))
    old = open_slide(path).features
    old.read()
    path.rename(tmp_path / "kept")
    write(tmp_path, "rows", np.zeros((9, 3), np.float32))
    os.utime(path, ns=(1, 1))
    assert torch.equal(open_slide(path).features.read(), torch.zeros(9, 3))
    with pytest.raises(StoreError, match="changed"):
        old.read()
    path.unlink()
    with pytest.raises(StoreError, match="does not exist"):
        old.read()


def test_arranged_coordinates_are_swapped_scaled_and_shifted():
    stored = MemoryRows(torch.tensor([[1, 2], [3, 4]]))
    swapped = Arranged(stored, columns=(1, 0))
    assert swapped.read().tolist() == [[2, 1], [4, 3]] and swapped.read().dtype == torch.long
    moved = Arranged(stored, factor=2.0, shift=-1.0)
    assert moved.read(np.array([1])).tolist() == [[5.0, 7.0]] and moved.dtype == "float64"
