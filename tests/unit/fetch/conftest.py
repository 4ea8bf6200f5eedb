"""Local mirrors for the tests of fetching, and a place for the file."""

import threading

import pytest

from mirror_server import MirrorServer
from segrepro.data import downloads


@pytest.fixture
def servers():
    running = []

    def start():
        server = MirrorServer()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(servers):
    return servers()


@pytest.fixture
def out(tmp_path):
    return tmp_path / "downloads" / "archive.tar"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(downloads, "FIRST_PAUSE_SECONDS", 0.001)
