"""The import of a foreign plug-in, watched: it should print nothing and ask no network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from io import StringIO

_listening: list[list[str]] = []
_LOOKS = ("socket.getaddrinfo", "socket.gethostbyname")


@contextmanager
def watched() -> Iterator[list[str]]:
    """Within the block, what is printed is kept back; afterwards the list says what was heard, in a few words each."""
    heard: list[str] = []
    printed = StringIO()
    _install_hook()
    _listening.append(heard)
    try:
        with redirect_stdout(printed):
            yield heard
    finally:
        _listening.pop()
        text = printed.getvalue().strip()
        if text:
            heard.append(f"prints {text.splitlines()[0][:60]!r}")
        heard[:] = dict.fromkeys(heard)


@cache
def _install_hook() -> None:
    # A hook cannot be taken out again; outside of a block it returns at once.
    sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if not _listening or not event.startswith("socket."):
        return
    if event in _LOOKS:
        _listening[-1].append(f"looks up the host {arguments[0]!s}")
    elif event in ("socket.connect", "socket.bind"):
        address = arguments[1]
        place = ":".join(map(str, address[:2])) if isinstance(address, tuple) else str(address)
        if event == "socket.connect" or not place.endswith(":0"):  # urllib3 tries port 0 to learn of IPv6
            _listening[-1].append(f"opens a socket to {place}")
