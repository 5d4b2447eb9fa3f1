import json
import os
import pathlib
import subprocess

import grpc
import pytest

PATIENCE_SECONDS = 60


@pytest.fixture(scope="session")
def test_peer():
    """The program that serves and calls grpc.testing.TestService with our runtime."""
    folder = os.environ.get("MAINSTREET_BIN")
    assert folder, "MAINSTREET_BIN is not set; ./dev test conformance sets it"
    return pathlib.Path(folder, "TestPeer")


@pytest.fixture(scope="session")
def address(test_peer, tmp_path_factory):
    """Where our server listens."""
    ready = tmp_path_factory.mktemp("serve") / "ready.json"
    process = subprocess.Popen([test_peer, "serve", "--ready-file", ready])
    try:
        while not ready.exists():
            try:
                process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"TestPeer ended with {process.returncode} before it served")
        yield json.loads(ready.read_text())["grpc"]
        process.terminate()
        assert process.wait(timeout=PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def channel(address):
    """The official client, connected to our server."""
    with grpc.insecure_channel(address, options=[("grpc.max_metadata_size", 65536)]) as channel:
        yield channel
