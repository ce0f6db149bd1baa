"""Readers of slide files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pathfuse.errors import PathfuseError
from pathfuse.registry import Match
from pathfuse.slides.reader import SlideReader
from pathfuse.slides.spacing import Spacing
from pathfuse.testing.pictures import section
from pathfuse.testing.trial import Trial

SIZE_PX = 200
GREY_LEVELS = 6.0  # mean difference that a lossy format may make


def suffixes_can_be_looked_for(trial: Trial) -> None:
    """Suffixes are lower case and begin with a dot; without any, no slide of a folder would be found."""
    suffixes = _reader(trial).suffixes
    assert isinstance(suffixes, frozenset) and suffixes, "suffixes has to be a frozenset with at least one suffix"
    wrong = sorted(suffix for suffix in suffixes if not suffix.startswith(".") or suffix != suffix.lower())
    assert not wrong, f"suffixes {', '.join(wrong)}: write them in lower case with the dot"


def it_knows_its_own_files(trial: Trial) -> None:
    """Its own file is claimed and has one of its suffixes; a text file of that name is not called certain."""
    with _example(trial) as (reader, path):
        if path is not None:
            assert path.suffix.lower() in reader.suffixes, f"{path.suffix} of its own file is not among suffixes"
            assert reader.match(path) > Match.NO, "it does not claim its own file"
            path.write_text("This is no slide.\n" * 20)
            assert reader.match(path) < Match.CERTAIN, "it is certain of a text file: look at the first bytes"
        foreign = (path or Path("x")).with_name("notes.txt")
        if path is not None:
            foreign.write_text("This is no slide.\n" * 20)
            assert reader.match(foreign) < Match.LIKELY, "it claims a text file"


def pixels_are_those_of_the_file(trial: Trial) -> None:
    """Levels go from fine to coarse, and the finest holds what was written; outside is white."""
    picture = section(SIZE_PX)
    with _example(trial) as (reader, path):
        if path is None:
            return
        with reader.open(path, Spacing(0.5)) as slide:
            downsamples = [level.downsample for level in slide.levels]
            assert downsamples and downsamples[0] == 1 and downsamples == sorted(downsamples), f"levels {downsamples}"
            assert slide.size == (SIZE_PX, SIZE_PX), f"size is {slide.size}, written were {SIZE_PX} x {SIZE_PX} px"
            found = slide.read_level(0, 50, 60, 100, 80)
            beyond = slide.read_level(0, SIZE_PX - 10, SIZE_PX - 10, 20, 20)
    assert found.shape == (80, 100, 3) and found.dtype == np.uint8, f"read_level gives {found.dtype} {found.shape}"
    difference = float(np.abs(found.astype(float) - picture[60:140, 50:150]).mean())
    assert difference < GREY_LEVELS, f"pixels differ by {difference:.0f} grey levels on average from what was written"
    assert beyond.shape == (20, 20, 3) and (beyond[10:] == 255).all() and (beyond[:, 10:] == 255).all(), (
        "what lies outside of the slide is not white"
    )


def spacing_is_given_or_unknown(trial: Trial) -> None:
    """What the user says counts; what nobody says is None with a reason, and never a guess."""
    with _example(trial) as (reader, path):
        if path is None:
            return
        with reader.open(path, Spacing(0.25)) as slide:
            assert slide.mpp == 0.25, f"mpp is {slide.mpp}, the user said 0.25"
        with reader.open(path, Spacing(None)) as slide:
            assert slide.spacing.mpp is None, f"the file states no spacing, and mpp is {slide.spacing.mpp}"
            assert slide.spacing.why, "spacing.why is empty: say why it is unknown"


def damage_is_an_error_of_pathfuse(trial: Trial) -> None:
    """A file that is cut short or overwritten raises an error that a user can read, whatever its library raises."""
    with _example(trial) as (reader, path):
        if path is None:
            return
        whole = path.read_bytes()
        for name, content in (("cut short", whole[: len(whole) // 3]), ("overwritten", b"\0" * len(whole))):
            path.write_bytes(content)
            try:
                reader.match(path)
                with reader.open(path, Spacing(0.5)) as slide:
                    slide.read_level(0, 0, 0, *slide.size)
            except PathfuseError:
                continue
            except Exception as error:
                raise AssertionError(
                    f"a file that is {name} raises {type(error).__name__} instead of ImageError"
                ) from error
            raise AssertionError(f"a file that is {name} is read without an error")


def _reader(trial: Trial) -> SlideReader:
    made = trial.example.build()
    assert isinstance(made, SlideReader)
    return made


@contextmanager
def _example(trial: Trial) -> Iterator[tuple[SlideReader, Path | None]]:
    """The reader, and a file of its format; None where it writes none."""
    reader = _reader(trial)
    with TemporaryDirectory() as folder:
        yield reader, reader.example(Path(folder), section(SIZE_PX))
