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
# Read when ray is imported: nothing is reported to anybody, and a task without a GPU sees none, as Ray has always done.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}


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
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
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
    except (ConnectionError, RuntimeError, ValueError) as error:
        ray.shutdown()
        text = " ".join(str(error).split())[:200]
        raise RunError(
            f"Ray cannot be joined at {address} ({text}). Run `ray start --address HOST:PORT` on this machine first, "
            "or correct --address."
        ) from error


def _reach(address: str) -> None:
    """Ray itself would try for minutes.

    Raises:
        RunError: if nobody listens there.
    """
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdecimal():
        raise RunError(f"--address {address}: write HOST:PORT of the cluster's head, auto or local.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_S).close()
    except (OSError, OverflowError) as error:
        raise RunError(
            f"no Ray cluster answers at {address} ({error}). Start one with `ray start --head`, or correct --address."
        ) from error
