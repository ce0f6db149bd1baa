"""Processes that do calls, each at the end of a pipe of its own: one that is killed is noticed, whatever it was doing.

`ProcessPoolExecutor` has one pipe for the answers of all. A process that is killed while it sends leaves half an answer
there, and whoever reads waits for the other half, because the rest of the pool holds the pipe open.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.process import parent_process
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

from pathfuse.system.main_guard import require_main_guard

P = ParamSpec("P")
R = TypeVar("R")
Work = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...], dict[str, Any]]

PATIENCE_S = 5.0  # for a process that is asked to end


class Processes(Executor):
    """Processes, and a thread for each that hands it one call after another.

    When one dies, every call that has no answer ends in `BrokenProcessPool`, and so does each later one.

    Args:
        workers: number of processes.
    """

    def __init__(self, workers: int) -> None:
        require_main_guard()
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._lock = threading.Lock()  # of the queue together with whether it is still served
        self._broken = False
        # Spawned, not forked: a fork would inherit the locks of this process and hold them after its death, and the
        # state of threads that a network has started.
        context = get_context("spawn")
        self._processes: list[SpawnProcess] = []
        self._threads: list[threading.Thread] = []
        for number in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()  # the other end is the process's alone, and closes with it
            thread = threading.Thread(target=self._feed, args=(ours,), daemon=True, name=f"pathfuse-feed-{number}")
            thread.start()
            self._processes.append(process)
            self._threads.append(thread)

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Has a call done by whoever is free first.

        Raises:
            BrokenProcessPool: if one of them has died.
        """
        future: Future[R] = Future()
        with self._lock:
            if self._broken:
                raise BrokenProcessPool("a process has died")
            self._queue.put((future, fn, args, kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the processes.

        Args:
            wait: for the processes to be gone.
            cancel_futures: calls that nobody has begun end as cancelled, and one that is under way is given a moment;
                otherwise all are done first.
        """
        if cancel_futures:
            for future in self._taken():
                future.cancel()
                future.set_running_or_notify_cancel()
        for _ in self._threads:
            self._queue.put(None)
        if not wait:
            return
        for thread, process in zip(self._threads, self._processes, strict=True):
            thread.join(PATIENCE_S if cancel_futures else None)
            if thread.is_alive():
                process.kill()
            process.join()

    def _feed(self, pipe: Connection) -> None:
        """Hands one process its calls, until there are no more or it dies."""
        with pipe:
            while (work := self._queue.get()) is not None:
                future, fn, args, kwargs = work
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    pipe.send((fn, args, kwargs))
                    answer, error = pipe.recv()
                except (EOFError, OSError):
                    self._break()
                    future.set_exception(BrokenProcessPool("a process died while it did this"))
                    return
                except Exception as problem:  # noqa: BLE001 - what cannot be sent or unpacked is the call's own error
                    answer, error = None, problem
                if error is None:
                    future.set_result(answer)
                else:
                    future.set_exception(error)

    def _break(self) -> None:
        """One has died: the others end as well, and nobody waits for an answer."""
        with self._lock:
            self._broken = True
        for process in self._processes:
            process.kill()
        for future in self._taken():
            if future.set_running_or_notify_cancel():
                future.set_exception(BrokenProcessPool("a process has died"))
        for _ in self._threads:
            self._queue.put(None)

    def _taken(self) -> list[Future[Any]]:
        """The calls that nobody has begun, taken out of the queue."""
        taken: list[Future[Any]] = []
        with suppress(Empty):
            while True:
                work = self._queue.get_nowait()
                if work is not None:
                    taken.append(work[0])
        return taken


def _serve(pipe: Connection) -> None:
    """Does calls until there are no more."""
    _end_with_parent()
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            fn, args, kwargs = pipe.recv()
            answer: tuple[object, Exception | None]
            try:
                answer = (fn(*args, **kwargs), None)
            except Exception as error:  # noqa: BLE001 - handed to whoever asked
                answer = (None, error)
            try:
                pipe.send(answer)
            except OSError:
                raise
            except Exception as error:  # noqa: BLE001 - an answer that cannot be packed
                pipe.send((None, RuntimeError(f"{type(error).__name__}: {error}")))


def _end_with_parent() -> None:
    """A process whose parent was killed would finish its work for nobody."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="pathfuse-parent").start()
