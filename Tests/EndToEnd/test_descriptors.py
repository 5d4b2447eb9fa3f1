"""The Edge when it may open no more files: it serves whom it has, tells the others, and does not burn a core."""

import contextlib
import os
import pathlib
import resource
import socket
import time

import pytest

from harness import Process, edge_environment, eventually, http_get


@pytest.fixture
def edge(tmp_path):
    """An Edge with nothing behind it."""
    edge = Process(tmp_path, "Edge", edge_environment())
    yield edge
    edge.stop()


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=20)


def served(address, path):
    """A connection that was accepted for certain: it has had an answer, and stays."""
    connection = connect(address)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    assert connection.recv(4096).startswith(b"HTTP/1.1 ")
    return connection


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def has_room(address):
    with contextlib.suppress(OSError):
        return http_get(address, "/livez")[0] in (200, 404)
    return False


@pytest.mark.parametrize("listener", ["http", "admin"])
def test_waits_for_descriptors(edge, listener):
    address = edge.start().addresses[listener]
    pid = edge.process.pid
    first = served(address, "/livez")
    open_files = len(os.listdir(f"/proc/{pid}/fd"))
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_files + 8, hard))
    connections = [connect(address) for _ in range(32)]
    eventually(lambda: "cannot accept connections" in edge.log.read_text(), what="a word about it in the log")
    before = cpu_seconds(pid)
    time.sleep(1)
    assert cpu_seconds(pid) - before < 0.2
    for connection in [first, *connections]:
        connection.close()
    eventually(lambda: has_room(address), what="connections accepted again")


def test_takes_as_many_connections_as_there_are_descriptors(edge):
    address = edge.start(files=200).addresses["http"]
    assert "fewer connections are taken than configured" in edge.log.read_text()
    connections = [served(address, "/nowhere") for _ in range(100)]
    with connect(address) as refused:
        assert refused.recv(4096).startswith(b"HTTP/1.1 503 ")
    for connection in connections:
        connection.close()
    eventually(lambda: has_room(address), what="connections accepted again")


def test_the_admin_port_takes_few_connections(edge):
    address = edge.start().addresses["admin"]
    connections = [served(address, "/livez") for _ in range(64)]
    with connect(address) as refused:
        assert refused.recv(1) == b""
    for connection in connections:
        connection.close()
    eventually(lambda: has_room(address), what="connections accepted again")
