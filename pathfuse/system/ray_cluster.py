"""Joining a Ray cluster, or starting Ray on this machine; whoever spreads work goes through here."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

from pathfuse.errors import PluginError, RunError

REACH_S = 5.0
HERE = "local"
# Ray speaks gRPC, so a head answers a greeting in HTTP/2 (here with empty settings) with its own settings.
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
SETTINGS = b"\x04"  # fourth byte of that answer
NO_REPORTS = "RAY_USAGE_STATS_ENABLED"


@contextmanager
def connected(
    address: str | None = None, *, cpus: int | None = None, say: Callable[[str], None] | None = None
) -> Iterator[ModuleType]:
    """The module `ray`, connected to a cluster; what was joined or started here is left or stopped at the end.

    Args:
        address: `HOST:PORT` of the cluster's head, `auto` for the one of this machine, `local` to start Ray here. None
            takes the variable RAY_ADDRESS, and starts Ray here without it.
        cpus: tasks at a time where Ray is started here; None takes the cores of this machine.
        say: told, in one line, that Ray is started here because no address was given.

    Raises:
        PluginError: if Ray is not installed.
        RunError: if there is no cluster at the address.
    """
    ray = _ray()
    if ray.is_initialized():  # somebody further out has connected, and will disconnect
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS") or None
    if address is None and say is not None:
        say("no --address and no RAY_ADDRESS: starting Ray on this machine for this run.")
    _connect(ray, address or HERE, cpus)
    try:
        yield ray
    finally:
        ray.shutdown()


def _ray() -> ModuleType:
    os.environ.setdefault(NO_REPORTS, "0")  # nothing is sent to Ray's makers unless the user wants it
    try:
        return import_module("ray")
    except ModuleNotFoundError as error:
        raise PluginError("Ray is not installed. Run: pip install 'pathfuse[ray]'") from error


def _connect(ray: ModuleType, address: str, cpus: int | None) -> None:
    options: dict[str, object] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == HERE:
        options |= {"include_dashboard": False, "num_cpus": cpus}
    elif address != "auto":
        _reach(address)
    try:
        ray.init(address=address, **options)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        ray.shutdown()
        text = " ".join(str(error).split())[:200]
        if address == HERE:
            raise RunError(f"Ray cannot be started here ({text}). RAY_TMPDIR names its folder.") from error
        token = getattr(ray.exceptions, "AuthenticationError", ())  # of Ray 2.52 and later
        if any(isinstance(cause, token) for cause in _causes(error)):
            raise RunError(
                f"the Ray cluster at {address} asks for its token. Copy ~/.ray/auth_token from its head to this "
                "machine and set RAY_AUTH_MODE=token."
            ) from error
        raise RunError(
            f"Ray cannot be joined at {address} ({text}). Run `ray start --address HOST:PORT` on this machine first, "
            "or correct --address."
        ) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reach(address: str) -> None:
    """Ray itself would try for minutes.

    Raises:
        RunError: if nobody listens there, or something that is certainly no Ray.
    """
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdecimal():
        raise RunError(f"--address {address}: write HOST:PORT of the cluster's head, auto or local.")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), REACH_S) as there:
            answer = _answer(there)
    except (OSError, OverflowError) as error:
        raise RunError(
            f"no Ray cluster answers at {address} ({error}). Start one with `ray start --head`, or correct --address."
        ) from error
    if answer and answer[3:4] != SETTINGS:
        raise RunError(
            f"what answers at {address} is no Ray cluster. Give the port that `ray start --head` says, not that of "
            "the dashboard."
        )


def _answer(there: socket.socket) -> bytes:
    """The first bytes that come back; none where it cannot be told, which is left to Ray."""
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return b""
    try:
        there.sendall(GREETING)
        return there.recv(4)
    except OSError:
        return b""
