"""Faults of the machine, such as a full disk, too many open files or a killed worker, each as one line."""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pathfuse.errors import MachineError

_ADVICE = {
    errno.ENOSPC: "Free space, or choose another folder.",
    errno.EDQUOT: "Free space, or choose another folder.",
    errno.EFBIG: "Raise the limit on the size of files (`ulimit -f`), or choose another folder.",
    errno.EMFILE: "Raise the limit on open files (`ulimit -n 4096`), or take fewer workers.",
    errno.ENFILE: "Close other programs, or take fewer workers.",
    errno.ENOMEM: "Take smaller batches or fewer workers.",
    errno.EROFS: "Choose a folder that can be written to.",
    errno.EACCES: "Change its permissions, or choose another one.",
    errno.EPERM: "Change its permissions, or choose another one.",
    errno.EIO: "Check the disk, and try again.",
}
"""What to do about an error of the operating system; others are passed on in its words alone."""

_LOADER_DIED = "a process that loads data died, most often out of memory. Take fewer with --loading.num_workers."
# What torch raises has no class of its own.
_OF_TORCH = (
    (re.compile(r"DataLoader worker .*(killed by signal|exited unexpectedly)", re.DOTALL), _LOADER_DIED),
    (
        re.compile(r"received 0 items of ancdata|Too many open files"),
        "too many files are open. Raise the limit (`ulimit -n 4096`), or take fewer workers.",
    ),
    (
        re.compile(r"PytorchStreamWriter failed writing|unexpected pos|file write failed|No space left on device"),
        "a file cannot be written whole: the disk is full. Free space, or choose another folder.",
    ),
    (
        re.compile(r"DefaultCPUAllocator: (can't|not enough)"),
        "there is not enough memory. Take smaller batches or fewer workers.",
    ),
    (
        re.compile(r"CUDA out of memory", re.IGNORECASE),
        "there is not enough memory on the GPU. Take smaller batches.",
    ),
)


def machine_fault(error: BaseException) -> str | None:
    """What the machine refused and what to do about it, in one line; None for any other error."""
    if isinstance(error, ConnectionResetError | ConnectionRefusedError) or (
        isinstance(error, EOFError) and not error.args
    ):
        return _LOADER_DIED  # while it sent; a file that ends too early says so
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, UnicodeEncodeError):
        named = ascii(str(error.object)[max(0, error.start - 60) : error.end + 60])
        return f"{named} is no text in UTF-8. Rename the file or folder that is called so."
    if isinstance(error, MemoryError):
        return "there is not enough memory. Take smaller batches or fewer workers."
    text = str(error)
    return next((said for pattern, said in _OF_TORCH if pattern.search(text)), None)


@contextmanager
def machine_faults(advice: str) -> Iterator[None]:
    """A block in which a fault of the machine ends in one line.

    Args:
        advice: the next step, after what is to be done about the fault.

    Raises:
        MachineError: for a fault of the machine; every other error passes as it is.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # who read the output wants no more of it
    except (OSError, EOFError, RuntimeError, MemoryError, UnicodeEncodeError) as error:
        _end_watch()  # at once: torch may be about to raise the same again
        said = machine_fault(error)
        if said is None:
            raise
        raise MachineError(f"{said} {advice}") from error


def _end_watch() -> None:
    """Lets children end without torch, which would raise once more, anywhere, when it hears of the next one.

    Nobody else's handler is touched. Windows has no such signal, and another thread than the main one hears of none.
    """
    with suppress(AttributeError, ValueError):
        if getattr(signal.getsignal(signal.SIGCHLD), "__module__", "") == "torch.utils.data._utils.signal_handling":
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _of_system(error: OSError) -> str | None:
    if error.errno is None or isinstance(error, BrokenPipeError):
        return None
    place = str(error.filename) if error.filename else "the machine"
    advice = _ADVICE.get(error.errno, "Correct that, and try again.")
    return f"{place} refuses: {error.strerror or errno.errorcode.get(error.errno, error.errno)}. {advice}"
