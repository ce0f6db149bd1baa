"""How a command may end: well, or in one line with exit status 1 or 2; never in a traceback, and never not at all."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from pathfuse.cli import main

PATIENCE_S = 300  # nothing here takes a hundredth of it: whoever waits for it waits for ever


class HangsError(BaseException):
    """Something waits for what never comes."""


@contextmanager
def patience() -> Iterator[None]:
    """A block that ends, or fails."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise HangsError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def ending(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Runs a command in this process; returns its exit status and what it said last on standard error."""
    capsys.readouterr()
    with patience():
        status = main([str(word) for word in words])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    lines = said.err.splitlines()
    return status, lines[-1] if lines else ""


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line of a command that has to fail."""
    status, line = ending(capsys, *words)
    assert status in (1, 2), f"exit status {status}: {line}"
    assert line.startswith("error: ") and len(line) > 20, line
    return line
