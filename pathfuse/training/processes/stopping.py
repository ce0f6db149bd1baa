"""Training that is stopped from outside: by Ctrl-C, a signal of the scheduler, or the loss of another process."""

from __future__ import annotations

import atexit
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from pathfuse.errors import LostProcessError, MachineError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What schedulers send before they end a job; `SIGINT` is Ctrl-C, which Python raises by itself."""
_LOST = re.compile(
    r"connection (was )?(closed|reset|refused)|closed by peer|broken pipe|nccl|gloo|timed? ?out|socket|store", re.I
)
_said: list[str] = []
INTERRUPTED = 130
"""The exit status of a command that was stopped."""


class Interrupted(KeyboardInterrupt):
    """Training was stopped by the user; the run can be resumed."""


def _leave_at_once(status: int) -> None:
    """Lets this process, if it is one of several, end without waiting for what the others no longer do."""
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch would tell of reading processes that ended
        atexit.register(_leave, status)


def _leave(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def was_stopped() -> bool:
    """Whether a signal has asked this process to stop."""
    return bool(_said)


def stopped(path: Path, where: str = "") -> Interrupted:
    """What is raised when training was stopped; names the signal, if it was one, and how to go on."""
    by = f" by {_said[-1]}" if _said else ""
    _leave_at_once(INTERRUPTED)
    return Interrupted(f"stopped{by}{where}. Continue with: pathfuse fit --resume {path}")


@contextmanager
def heeding_signals() -> Iterator[None]:
    """Within the block, what a scheduler sends stops this process as Ctrl-C does; afterwards it is as before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner, before = os.getpid(), {number: signal.getsignal(number) for number in SIGNALS}

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:  # a forked reading process has inherited this
            _said.append(signal.Signals(number).name)
            raise KeyboardInterrupt

    _said.clear()
    try:
        for number in SIGNALS:
            signal.signal(number, stop)
        _heeded.append(stop)
        yield
    finally:
        _heeded.clear()
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


_heeded: list[object] = []


class HeedsSignals(Callback):
    """Puts the handlers back that Lightning lays its own over: those wait for all processes while one may be gone."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """When Lightning has laid its own."""
        for handler in _heeded:
            for number in SIGNALS:
                signal.signal(number, handler)  # type: ignore[arg-type]


@contextmanager
def resumable(path: Path) -> Iterator[None]:
    """Within the block, whatever stops a run from outside ends in a line that says how to go on.

    Raises:
        Interrupted: for Ctrl-C and signals.
        LostProcessError: if another process of the run is gone.
    """
    try:
        yield
    except Interrupted:
        raise
    except (KeyboardInterrupt, SystemExit) as error:  # Lightning leaves the process when it is interrupted
        raise stopped(path) from error
    except MachineError as error:
        if not was_stopped():
            raise
        raise stopped(path) from error
    except RuntimeError as error:
        if was_stopped():  # a signal to all of a job ends reading processes too, which is what is heard of first
            raise stopped(path) from error
        if not is_lost(error):
            raise
        _leave_at_once(LostProcessError.exit_code)
        raise LostProcessError(
            f"another process of this run ended, or does not answer ({str(error).splitlines()[0][:120]}). Its own "
            f"lines say why. Continue with: pathfuse fit --resume {path}"
        ) from error


def is_lost(error: RuntimeError) -> bool:
    """Whether an error comes of another process that is gone."""
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return isinstance(error, distributed.DistError) if distributed.is_available() else False
    return isinstance(error, distributed.DistError) or bool(_LOST.search(str(error)))
