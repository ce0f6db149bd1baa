"""Files of torch, bounded in memory before they are opened: no byte is allocated that the file does not hold."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO, ClassVar

import torch
from torch import Tensor

MOST_DATA_PKL = 256 << 20
"""Bytes of the part of a file that says which tensors there are; that of a network has a few hundred thousand."""
_HARMLESS = {
    "collections.OrderedDict", "_codecs.encode", "torch.Size", "torch.device", "torch.serialization._get_layout",
    "builtins.set", "collections.Counter", "collections.defaultdict",
}  # fmt: skip
_REBUILDS = ("torch._utils._rebuild_", "torch._tensor._rebuild_")
"""What makes a tensor of a storage that is there already."""


def load_saved(file: BinaryIO) -> object:
    """What `torch.save` wrote, on the CPU; never runs code from it, and never takes more memory than it is long.

    Args:
        file: opened for reading bytes, at its start.

    Raises:
        ValueError: if it claims more than it holds.
        Exception: what torch raises for a file that is damaged or holds more than tensors and plain values.
    """
    refuse_more_than_it_holds(file)
    return torch.load(file, map_location="cpu", weights_only=True)


def refuse_more_than_it_holds(file: BinaryIO) -> None:
    """Refuses a file of torch that would take more memory than it is long; the file stands at its start afterwards.

    Raises:
        ValueError: saying how much it claims.
    """
    size = file.seek(0, 2)
    file.seek(0)
    archive = file.read(4) == b"PK\x03\x04"  # as torch decides it; a pickle may have an archive behind it
    file.seek(0)
    _check_archive(file, size) if archive else _check_old(file, size)
    file.seek(0)


def _check_archive(file: BinaryIO, size: int) -> None:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is a compressed archive and was not written by torch.save")
        total = sum(entry.file_size for entry in entries)
        if total > size:
            raise ValueError(f"its parts claim {_mib(total)}, but it has {_mib(size)}")
        described = [entry for entry in entries if entry.filename.rpartition("/")[2] == "data.pkl"]
        for entry in described:
            if entry.file_size > MOST_DATA_PKL:
                raise ValueError(f"its data.pkl has {_mib(entry.file_size)}")
            _count_claims(BytesIO(archive.read(entry)), size)


def _check_old(file: BinaryIO, size: int) -> None:
    """Of a file as torch wrote it before 1.6: number, version, system, content, and then the numbers themselves."""
    for _ in range(4):
        _count_claims(_Clamped(file, size), size)
        if file.tell() >= size:
            return


def _count_claims(file: Any, size: int) -> None:  # noqa: ANN401 - a file
    try:
        _Claims(file, size).load()
    except (LookupError, TypeError, AttributeError, AssertionError) as error:  # what the reader in Python ends in
        raise pickle.UnpicklingError("it is no file of tensors") from error


class _Clamped:
    """A file whose reads never ask for more than is left of it."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.size = size

    def read(self, count: int = -1) -> bytes:
        left = self.size - self.file.tell()
        return self.file.read(left if count < 0 else min(count, left))

    def readline(self) -> bytes:
        return self.file.readline()

    def readinto(self, into: Any) -> int:  # noqa: ANN401 - a buffer
        content = self.read(len(into))
        into[: len(content)] = content
        return len(content)


class _Inert:
    """Stands for whatever a pickle names or makes; nothing is called."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: object, **options: object) -> object:
        if self.name in _HARMLESS or self.name.startswith(_REBUILDS):
            return _Made()
        if self.name == "builtins.bytearray" and all(isinstance(arg, bytes | str) for arg in args):
            return _Made()
        raise pickle.UnpicklingError(f"it calls {self.name}, which no file of tensors does")


class _Made:
    """A value that a pickle would have made; takes whatever is put into it."""

    def __setitem__(self, key: object, value: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...

    def append(self, value: object) -> None:
        """Of a list."""

    def extend(self, values: object) -> None:
        """Of a list."""

    def add(self, value: object) -> None:
        """Of a set."""

    def update(self, values: object) -> None:
        """Of a set."""


class _Claims(pickle._Unpickler):
    """Reads a pickle without importing or calling anything, and adds up the storages that it asks for.

    In Python and not in C, whose memo grows to the largest number that a few bytes name.
    """

    def __init__(self, file: Any, size: int) -> None:  # noqa: ANN401 - a file
        super().__init__(file)
        self.size = size
        self.claimed: dict[str, int] = {}

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - what a pickle names
        """A stand-in."""
        return _Inert(f"{module.replace('__builtin__', 'builtins')}.{name}")

    def persistent_load(self, pid: Any) -> object:  # noqa: ANN401 - what a pickle says
        """Adds a storage: its type, name and count of numbers."""
        if isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and isinstance(pid[4], int):
            kind = getattr(pid[1], "name", "")
            # A part of a storage, in files of torch 0.1, is counted with the whole of it.
            self.claimed[str(pid[2])] = abs(pid[4]) * _width(str(kind))
            if sum(self.claimed.values()) > self.size:
                raise ValueError(f"its tensors claim {_mib(sum(self.claimed.values()))}, but it has {_mib(self.size)}")
        return _Made()

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def _refused(self) -> None:
        raise pickle.UnpicklingError("it makes an object that is no tensor")

    for _code in (pickle.INST, pickle.OBJ, pickle.EXT1, pickle.EXT2, pickle.EXT4):
        dispatch[_code[0]] = _refused

    def _new(self) -> None:
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        stack.pop()
        stack[-1] = stack[-1]()

    dispatch[pickle.NEWOBJ[0]] = _new


def _width(kind: str) -> int:
    """Bytes of a number of a storage, by the name of its class."""
    name = kind.rpartition(".")[2].removesuffix("Storage")
    known = {"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1,
             "Bool": 1, "Untyped": 1, "ComplexFloat": 8, "ComplexDouble": 16}  # fmt: skip
    return known.get(name, 1)


def _mib(count: int) -> str:
    return f"{count / 2**20:,.2f} MiB"


def tensors_of(content: object) -> dict[str, Tensor]:
    """The state dict of a checkpoint.

    Raises:
        KeyError, TypeError: if it holds none.
    """
    state = content["state_dict"]  # type: ignore[index]
    if not isinstance(state, dict):
        raise TypeError("its state_dict is no mapping of tensors")
    return state
