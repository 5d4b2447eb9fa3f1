"""Our client against the official grpcio server: gRPC's interoperability cases by their names."""

import subprocess

import pytest

import grpcio_server
from conftest import PATIENCE_SECONDS

CASES = [
    "empty_unary", "large_unary", "client_compressed_unary", "server_compressed_unary", "client_compressed_streaming",
    "server_compressed_streaming", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
    "custom_metadata", "status_code_and_message", "special_status_message", "unimplemented_method",
    "unimplemented_service", "cancel_after_begin", "cancel_after_first_response", "timeout_on_sleeping_server",
]


@pytest.fixture
def server():
    with grpcio_server.serving() as address:
        yield address


def call(test_peer, case, target):
    done = subprocess.run(
        [test_peer, "call", case, "--target", target], capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"passed {case}\n"


@pytest.mark.parametrize("case", CASES)
def test_case(test_peer, server, case):
    call(test_peer, case, server)
