"""Our client against a server that does to HTTP/2 what few servers do: gRPC's negative cases by their names."""

import pytest

from conftest import PATIENCE_SECONDS
from misbehaving_server import CASES, Server
from test_our_client import call


@pytest.mark.parametrize("case", CASES)
def test_case(test_peer, case):
    server = Server(case)
    call(test_peer, case, server.address)
    server.close(PATIENCE_SECONDS)
    assert not server.failures
    assert server.connections == (2 if case == "goaway" else 1)
    assert server.log == (["outstanding pings: 0"] if case == "ping" else [])
