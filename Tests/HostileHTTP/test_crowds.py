"""Very many connections, and very many requests at once."""

import time

import pytest

from edge import STORE_PATH, Edge, answers, get

GET = get(STORE_PATH)
IDLE = 10_000


def test_idle_connections(edge, attacked):
    """Each has had an answer, so that whatever a connection keeps is there."""
    with attacked(edge, 256) as attack:
        connections = []
        for start in range(0, IDLE, 100):
            batch = [edge.connect(GET) for _ in range(100)]
            for connection in batch:
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
                attack.ended("kept")
            connections += batch
        each = (edge.memory() - attack.before) * 1024 / IDLE
        attack.note = f", {each:.1f} KiB each"
        assert each < 20
        for connection in connections:
            connection.close()


def test_more_connections_than_taken(backend, attacked):
    """An address that has all it may is refused more; with a few to spare, others of it do not notice."""
    edge = Edge(backend, max_connections_per_address="100")
    try:
        with attacked(edge, 16) as attack:
            for _ in range(20):
                held = [edge.connect() for _ in range(90)]
                for connection in held:
                    connection.close()
            attack.ended("kept")
        held = []
        while (connection := edge.connect(GET)).recv(65536).startswith(b"HTTP/1.1 200 "):
            held.append(connection)
        assert len(held) <= 100
        for _ in range(300):
            assert answers(edge.connect()) == [503]
        for connection in held:
            connection.send(GET)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            connection.close()
    finally:
        edge.stop()


@pytest.mark.parametrize("path", [STORE_PATH, "/nowhere"], ids=["found", "nowhere"])
def test_pipelining(edge, attacked, path):
    """Requests behind each other, faster than they can be answered, and their answers are read."""
    request = get(path)
    with attacked(edge, 32) as attack:
        for _ in range(2):
            connection = edge.connect()
            connection.setblocking(False)
            sent, received, total = 0, 0, len(request) * 5000
            pending = memoryview(request * 5000)
            answered, tail = 0, b""
            while answered < 5000:
                try:
                    if sent < total:
                        sent += connection.send(pending[sent:])
                except BlockingIOError:
                    pass
                try:
                    piece = connection.recv(1 << 20)
                    assert piece, f"it ended after {answered} answers"
                    text = tail + piece
                    answered += text.count(b"HTTP/1.1 ")
                    # What may be the start of another one is looked at with what follows it.
                    tail = text[-8:] if not text.endswith(b"HTTP/1.1 ") else b""
                except BlockingIOError:
                    time.sleep(0.001)
            attack.ended(f"{answered} answers")
            connection.close()
