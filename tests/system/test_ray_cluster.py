import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pathfuse.errors import PluginError, RunError
from pathfuse.system.ray_cluster import connected


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PluginError, match=r"pip install 'pathfuse\[ray\]'"), connected():
        pass


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("by_variable", [False, True])
def test_an_address_where_nobody_listens_is_one_line(
    monkeypatch: pytest.MonkeyPatch, unused_port: int, by_variable: bool
) -> None:
    pytest.importorskip("ray", reason="needs pathfuse[ray]")
    address = f"127.0.0.1:{unused_port}"
    if by_variable:
        monkeypatch.setenv("RAY_ADDRESS", address)
    with (
        pytest.raises(RunError, match=f"no Ray cluster answers at {address}"),
        connected(None if by_variable else address),
    ):
        pass


class Page(BaseHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


def test_a_web_server_at_the_address_is_told_from_a_cluster_at_once() -> None:
    pytest.importorskip("ray", reason="needs pathfuse[ray]")
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            address = f"127.0.0.1:{server.server_port}"
            with pytest.raises(RunError, match=f"what answers at {address} is no Ray cluster"), connected(address):
                pass
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:port", ":6379"])
def test_what_is_no_address_is_refused(address: str) -> None:
    pytest.importorskip("ray", reason="needs pathfuse[ray]")
    with pytest.raises(RunError, match=r"write HOST:PORT"), connected(address):
        pass
