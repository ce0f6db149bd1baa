"""MetaImage (`.mha`): numbers on a grid in one file with a readable header, which ITK, 3D Slicer and elastix open."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from pathfuse.errors import RegistrationError
from pathfuse.register.field import Field
from pathfuse.system.files import replacing
from pathfuse.system.reading import read_whole

MAX_HEADER = 4096  # bytes
MAX_VALUES = 1 << 28
_END = b"ElementDataFile = LOCAL\n"


def write_mha(path: Path, field: Field) -> None:
    """Writes a field: two dimensions, K channels of 32-bit floats, little-endian, spacing and origin in micrometres.

    Raises:
        RegistrationError: if it cannot be written.
    """
    height, width, channels = field.values.shape
    header = [
        "ObjectType = Image",
        "NDims = 2",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = False",
        "TransformMatrix = 1 0 0 1",
        f"Offset = {field.pitch[0] / 2!r} {field.pitch[1] / 2!r}",
        "CenterOfRotation = 0 0",
        f"ElementSpacing = {field.pitch[0]!r} {field.pitch[1]!r}",
        f"DimSize = {width} {height}",
        f"ElementNumberOfChannels = {channels}",
        "ElementType = MET_FLOAT",
    ]
    with replacing(path, error=RegistrationError) as temporary, temporary.open("wb") as file:
        file.write("\n".join([*header, ""]).encode("ascii") + _END)
        file.write(np.ascontiguousarray(field.values, "<f4").tobytes())


def read_mha(path: Path) -> Field:
    """Reads what `write_mha` and SimpleITK (uncompressed, 32-bit floats, two dimensions) write.

    Raises:
        RegistrationError: naming the file and what is wrong with it.
    """
    try:
        content = read_whole(path, most=4 * MAX_VALUES + (1 << 16))
    except OSError as error:
        raise RegistrationError(f"{path} cannot be read ({error.strerror}). Register again.") from error
    facts, start = _header(path, content)
    width, height = (int(value) for value in _numbers(path, facts, "DimSize", whole=True))
    channels = int(_numbers(path, facts, "ElementNumberOfChannels", count=1, whole=True, default="1")[0])
    pitch, origin = (
        _numbers(path, facts, "ElementSpacing"),
        _numbers(path, facts, "Offset", default="0 0", positive=False),
    )
    kinds = {"ElementType": "MET_FLOAT", "NDims": "2", "CompressedData": "False", "BinaryDataByteOrderMSB": "False"}
    for key, value in kinds.items():
        if facts.get(key, value) != value:
            raise _bad(path, f"{key} is {facts[key][:40]}, and only {value} is read")
    if any(abs(at - step / 2) > 1e-3 * step for at, step in zip(origin, pitch, strict=True)):
        raise _bad(path, "its first value does not lie half a spacing from the slide's corner")
    values = width * height * channels
    if values > MAX_VALUES or len(content) - start != 4 * values:
        raise _bad(path, f"it holds {len(content) - start} bytes for {values} values")
    numbers = np.frombuffer(content, "<f4", values, start).reshape(height, width, channels).astype(np.float32)
    if not np.isfinite(numbers).all():
        raise _bad(path, "it holds values that are no numbers")
    return Field(numbers, (pitch[0], pitch[1]))


def _header(path: Path, content: bytes) -> tuple[dict[str, str], int]:
    end = content[:MAX_HEADER].find(_END)
    if end < 0:
        raise _bad(path, "it has no header that ends in ElementDataFile = LOCAL")
    try:
        lines = content[:end].decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise _bad(path, "its header is no text") from None
    facts: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if equals:
            facts[key.strip()] = value.strip()
    return facts, end + len(_END)


def _numbers(
    path: Path,
    facts: dict[str, str],
    key: str,
    *,
    count: int = 2,
    whole: bool = False,
    positive: bool = True,
    default: str = "",
) -> list[float]:
    try:
        found = [float(word) for word in facts.get(key, default).split()]
    except ValueError:
        found = []
    if len(found) != count or not all(math.isfinite(value) and (value > 0 or not positive) for value in found):
        raise _bad(path, f"{key} is {facts.get(key, 'missing')[:40]!r}")
    if whole and any(value != int(value) or value > MAX_VALUES for value in found):
        raise _bad(path, f"{key} is {facts[key][:40]!r}")
    return found


def _bad(path: Path, why: str) -> RegistrationError:
    return RegistrationError(f"{path} is no displacement field that can be read: {why}. Register again.")
