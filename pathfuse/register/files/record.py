"""A registration as files: `transform.json`, `field.mha`, `trust.mha`; no pickle."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pathfuse.errors import RegistrationError
from pathfuse.register.field import Field
from pathfuse.register.files.metaimage import read_mha, write_mha
from pathfuse.register.pair import SlideOf, SlidePair
from pathfuse.register.quality import Quality
from pathfuse.register.transform import Transform
from pathfuse.slides.opening import open_slide
from pathfuse.slides.slide import Slide
from pathfuse.system.files import write_text
from pathfuse.system.reading import read_json

FILE, FIELD, TRUST = "transform.json", "field.mha", "trust.mha"
FORMAT = "pathfuse-registration-1"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class SlideFacts:
    """What a registration knows of a slide: its file, stain, size in level-0 pixels and spacing in micrometres."""

    path: str
    stain: str
    width: int
    height: int
    mpp: float

    @classmethod
    def of(cls, of: SlideOf, slide: Slide) -> SlideFacts:
        """The facts of an open slide."""
        return cls(str(of.path.absolute()), of.stain, *slide.size, slide.mpp)

    def open(self) -> Slide:
        """Opens the slide again, and makes sure that it is the same.

        Raises:
            ImageError: if it cannot be read.
            RegistrationError: if it has another size: the transform belongs to another slide.
        """
        slide = open_slide(Path(self.path), mpp=self.mpp)
        if slide.size != (self.width, self.height):
            size = slide.size
            slide.close()
            raise RegistrationError(
                f"{self.path} is {size[0]} x {size[1]} px, but was registered as {self.width} x {self.height}. "
                "It is another slide: register it again."
            )
        return slide


@dataclass(frozen=True, eq=False)
class Record:
    """One registration.

    Attributes:
        pair: its slides and case.
        fixed: facts of the fixed slide.
        moving: facts of the moving slide.
        transform: from the fixed to the moving slide, in micrometres.
        quality: what was measured.
        verdict: `accepted`, `review` or `refused`.
        trust: local error in micrometres and similarity over the fixed slide.
        method: its name.
        settings: its options.
        landmarks: target errors, if landmarks were given.
        software: distributions and foreign components that made it.
    """

    pair: SlidePair
    fixed: SlideFacts
    moving: SlideFacts
    transform: Transform
    quality: Quality
    verdict: str
    trust: Field
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    landmarks: Mapping[str, float] = field(default_factory=dict)
    software: Mapping[str, Any] = field(default_factory=dict)


def write_record(folder: Path, record: Record) -> None:
    """Writes a registration into its folder; `transform.json` comes last, so that what has one is whole."""
    if record.transform.field is not None:
        write_mha(folder / FIELD, record.transform.field)
    else:
        (folder / FIELD).unlink(missing_ok=True)
    write_mha(folder / TRUST, record.trust)
    pair = record.pair
    document = {
        "format": FORMAT,
        "pair": pair.name,
        "case": {key: getattr(pair, key) for key in ("case_id", "patient_id", "label", "split", "site")},
        "fixed": asdict(record.fixed),
        "moving": asdict(record.moving),
        "affine_um": record.transform.matrix.tolist(),
        "field": FIELD if record.transform.field is not None else None,
        "trust": TRUST,
        "verdict": record.verdict,
        "quality": {key: _finite(value) for key, value in asdict(record.quality).items()},
        "landmarks": dict(record.landmarks),
        "method": record.method,
        "settings": dict(record.settings),
        "software": {"pathfuse": version("pathfuse"), **record.software},
    }
    write_text(folder / FILE, json.dumps(document, indent=1, allow_nan=False) + "\n")


def read_record(folder: Path) -> Record:
    """Reads a registration.

    Raises:
        RegistrationError: if the folder holds none, or it cannot be used.
    """
    path = folder / FILE
    document = _document(path)
    try:
        fixed, moving = (SlideFacts(**document[key]) for key in ("fixed", "moving"))
        ours, theirs = (SlideOf(Path(one.path), one.stain, one.mpp) for one in (fixed, moving))
        case = {key: str(value) for key, value in document["case"].items()}
        pair = SlidePair(str(document["pair"]), ours, theirs, case.pop("case_id"), **case)
        matrix = np.array(document["affine_um"], dtype=np.float64)
        quality = Quality(**document["quality"])
        bent = document["field"] is not None
        said = (
            str(document["verdict"]),
            str(document["method"]),
            dict(document["settings"]),
            dict(document["landmarks"]),
            dict(document["software"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RegistrationError(
            f"{path} is no registration ({type(error).__name__}: {error}). Register again."
        ) from error
    check_matrix(path, matrix)
    transform = Transform(matrix, read_mha(folder / FIELD) if bent else None)
    verdict, method, settings, landmarks, software = said
    return Record(
        pair,
        fixed,
        moving,
        transform,
        quality,
        verdict,
        read_mha(folder / TRUST),
        method,
        settings,
        landmarks,
        software,
    )


def check_matrix(path: Path, matrix: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """Makes sure that a matrix is an affine that can be undone.

    Raises:
        RegistrationError: if it is none.
    """
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise RegistrationError(
            f"{path}: the affine has shape {matrix.shape}, or holds no numbers. It has to be 3 x 3."
        )
    if not np.allclose(matrix[2], (0, 0, 1)) or abs(np.linalg.det(matrix[:2, :2])) < 1e-9:
        raise RegistrationError(f"{path}: that is no affine: its last row is not 0 0 1, or it flattens the slide.")


def find_record(folder: Path, name: str | None = None) -> Path:
    """The folder of one registration below the folder of several.

    Raises:
        RegistrationError: if there is none, or several and no name.
    """
    if (folder / FILE).is_file():
        return folder
    found = record_folders(folder)
    if name is not None:
        found = [one for one in found if one.name == name]
    if len(found) == 1:
        return found[0]
    if not found:
        what = f"no registration called {name!r}" if name else f"no registration ({FILE})"
        raise RegistrationError(f"{folder} holds {what}. Name a folder that `pathfuse register` wrote.")
    raise RegistrationError(f"{folder} holds {len(found)} registrations, first {found[0].name}. Name one with --pair.")


def record_folders(folder: Path) -> list[Path]:
    """The folders of all registrations in a folder, sorted by name."""
    return sorted(path.parent for path in folder.glob(f"*/{FILE}"))


def _document(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise RegistrationError(f"{path} is too large for a registration. Register again.")
        document = read_json(path)
    except OSError as error:
        raise RegistrationError(f"{path} cannot be read ({error.strerror}). Register again.") from error
    except ValueError as error:
        raise RegistrationError(f"{path} is no JSON ({error}). Register again.") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise RegistrationError(f"{path} is no registration of the format {FORMAT}. Register again.")
    return document


def _finite(value: Any) -> Any:  # noqa: ANN401 - a number or None
    return None if isinstance(value, float) and not math.isfinite(value) else value
