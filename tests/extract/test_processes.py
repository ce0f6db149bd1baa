"""Processes at the end of pipes of their own: killed at any moment, nobody waits for them."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Iterator
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest

from pathfuse.extract.processes import Processes

END_S = 60.0  # far longer than any answer takes; a test that waits for it has failed


def number(value: int) -> int:
    return value + 1


def process_id() -> int:
    return os.getpid()


def refuse() -> None:
    raise ValueError("not this one")


def unsendable() -> object:
    return lambda: None


def die_while_sending() -> None:
    """Half an answer: the length of a long message, a little of it, and the end."""

    def half(self: Connection, message: Any) -> None:
        os.write(self.fileno(), struct.pack("!i", 1 << 20) + bytes(1000))
        os.kill(os.getpid(), signal.SIGKILL)

    Connection.send = half  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def pool() -> Iterator[Processes]:
    with Processes(2) as made:
        yield made


def test_calls_are_answered_and_their_errors_are_raised(pool: Processes) -> None:
    answers = [pool.submit(number, value) for value in range(20)]
    assert [answer.result(END_S) for answer in answers] == list(range(1, 21))
    with pytest.raises(ValueError, match="not this one"):
        pool.submit(refuse).result(END_S)
    with pytest.raises(RuntimeError, match="pickle"):
        pool.submit(unsendable).result(END_S)
    assert pool.submit(np.arange, 100_000).result(END_S).sum() == 4_999_950_000


def test_one_that_is_killed_while_it_sends_ends_every_call() -> None:
    pool = Processes(2)
    calls = [pool.submit(die_while_sending), *(pool.submit(number, value) for value in range(50))]
    done, left = wait(calls, END_S)
    assert not left
    assert isinstance(calls[0].exception(), BrokenProcessPool)
    assert all(call.exception() is None or isinstance(call.exception(), BrokenProcessPool) for call in done)
    with pytest.raises(BrokenProcessPool):
        pool.submit(number, 1)
    pool.shutdown(cancel_futures=True)


def test_one_that_is_killed_while_it_idles_is_noticed_by_the_next_call() -> None:
    pool = Processes(1)
    os.kill(pool.submit(process_id).result(END_S), signal.SIGKILL)
    with pytest.raises(BrokenProcessPool):
        pool.submit(number, 1).result(END_S)
    pool.shutdown()


def test_work_that_nobody_has_begun_can_be_cancelled() -> None:
    pool = Processes(1)
    calls = [pool.submit(number, value) for value in range(100)]
    pool.shutdown(cancel_futures=True)
    assert all(call.done() for call in calls)
    assert any(call.cancelled() for call in calls)
