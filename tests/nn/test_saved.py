"""A file of torch is bounded before it is opened: it takes no more memory than it is long."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from torch import nn

from pathfuse.nn.saved import load_saved, refuse_more_than_it_holds

STATES = {
    "tensor": torch.arange(6.0).reshape(2, 3),
    "half": torch.ones(5, dtype=torch.bfloat16),
    "state dict": nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).state_dict(),
    "parameter": {"w": nn.Parameter(torch.ones(2))},
    "shared": [torch.ones(4)] * 3,
    "view": {"x": torch.arange(10)[2:4], "y": torch.empty(0)},
    "checkpoint": {"state_dict": OrderedDict(a=torch.ones(2)), "epoch": 3, "loops": {"x": [1, None, 2.5, (1, "a")]}},
    "sets": {"a": {1, 2}, "d": torch.float16, "s": torch.Size([1, 2])},
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("new", [True, False], ids=["archive", "as before torch 1.6"])
def test_what_torch_writes_is_read(name: str, new: bool) -> None:
    file = io.BytesIO()
    torch.save(STATES[name], file, _use_new_zipfile_serialization=new)
    file.seek(0)
    again = load_saved(file)
    assert str(again) == str(STATES[name])


class Call:
    """Pickles as a call."""

    def __init__(self, what: Callable[..., object], *args: object) -> None:
        self.what, self.args = what, args

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.what, self.args


class Claiming(pickle.Pickler):
    """Pickles every `Storage` as torch would one of that many numbers."""

    def persistent_id(self, obj: object) -> object:
        return ("storage", torch.FloatStorage, "0", "cpu", obj.count) if isinstance(obj, Storage) else None


class Storage:
    def __init__(self, count: int) -> None:
        self.count = count


def claiming(count: int) -> bytes:
    """The pickle of a tensor of so many numbers, without them."""
    text = io.BytesIO()
    made = Call(torch._utils._rebuild_tensor_v2, Storage(count), 0, (count,), (1,), False, OrderedDict())
    Claiming(text, protocol=2).dump({"state_dict": made})
    return text.getvalue()


def old_file(content: bytes) -> bytes:
    """A file as torch wrote it before 1.6, with this pickle as its content and no numbers behind it."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = (torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION, system)
    return b"".join([*(pickle.dumps(one, protocol=2) for one in head), content, pickle.dumps(["0"], protocol=2)])


def archive(content: bytes, data: bytes = b"", how: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as made:
        made.writestr("a/data.pkl", content)
        made.writestr("a/data/0", data)
        made.writestr("a/version", "3\n")
    return file.getvalue()


def overlapping(parts: int) -> bytes:
    """An archive whose parts are all the same bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a/data/0", bytes(10_000))
        for number in range(1, parts):
            entry = zipfile.ZipInfo(f"a/data/{number}")
            entry.file_size = entry.compress_size = 10_000
            entry.header_offset = entry.CRC = 0
            made.filelist.append(entry)
            made.NameToInfo[entry.filename] = entry
    return file.getvalue()


HOSTILE = {
    "an old file of 5.3 GB in a few hundred bytes": old_file(claiming(1_400_000_000)),
    "an archive whose tensor is longer than it": archive(claiming(1_400_000_000)),
    "a count below zero": archive(claiming(-1_400_000_000)),
    "a compressed archive": archive(claiming(10**6), bytes(4 * 10**6), zipfile.ZIP_DEFLATED),
    "parts that overlap": overlapping(50),
    "bytes that are made of a number": archive(pickle.dumps(Call(bytearray, 1 << 33), protocol=2)),
    "the same in an old file": old_file(pickle.dumps(Call(bytearray, 1 << 33), protocol=2)),
    "a storage that is made of a number": archive(pickle.dumps(Call(torch.UntypedStorage, 1 << 33), protocol=2)),
    "a memo of 16 GB": old_file(b"\x80\x02}r\xff\xff\xff\x7f" + b"X\xff\xff\xff\x7fa"),
    "an archive behind a pickle": old_file(claiming(1_400_000_000)) + archive(pickle.dumps({})),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_takes_no_more_memory_than_it_is_long(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, pickle.UnpicklingError, EOFError)):
            refuse_more_than_it_holds(io.BytesIO(HOSTILE[name]))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
