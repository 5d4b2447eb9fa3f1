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
    # Connections made ahead of calls that do not come are the client's own affair.
    calls = [connection.calls for connection in server.connections if connection.calls]
    assert calls == {"goaway": [1, 1], "max_streams": [11]}.get(case, [1])
