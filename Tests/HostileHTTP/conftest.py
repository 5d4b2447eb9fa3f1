import pytest

from edge import Backend, Bystander, Edge

_rows = pytest.StashKey[list]()
_HEADS = ["attack", "times", "answered by", "MiB before → most", "others: requests", "p50 ms", "p99 ms", "most ms"]


def pytest_configure(config):
    config.stash[_rows] = []


def pytest_terminal_summary(terminalreporter, config):
    rows = [_HEADS, *config.stash[_rows]]
    if len(rows) == 1:
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    terminalreporter.section("hostile clients of the Edge")
    for row in rows:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@pytest.fixture(scope="session")
def backend():
    backend = Backend()
    yield backend
    backend.stop()


@pytest.fixture(scope="session")
def edge(backend):
    """As it ships, but that it also takes HTTP/2 in plaintext, and thousands from one address."""
    edge = Edge(backend, plaintext_http2="true", max_connections="10500", max_connections_per_address="10500")
    yield edge
    edge.stop()


@pytest.fixture(scope="session")
def hasty(backend):
    """One that waits for nobody, so that nobody has to wait for it here. What it really waits is a setting."""
    edge = Edge(
        backend, header_timeout="1", body_timeout="1", upload_timeout="3", upload_stall_timeout="1", write_stall_timeout="1",
        idle_timeout="1", plaintext_http2="true")
    yield edge
    edge.stop()


@pytest.fixture
def attacked(request, pytestconfig):
    """Measures an Edge and another client of it while an attack goes on: `with attacked(edge, MiB) as attack`."""
    def attacked(edge, memory_mib):
        return Bystander(edge, request.node.name.removeprefix("test_"), memory_mib, pytestconfig.stash[_rows])

    return attacked
