"""Clients that take their time: with a header block, with a body, with reading, with everything."""

import time

from edge import FIELDS, REPORT_PATH, STORE_PATH, answers, get

COUNT = 200
POST = f"POST /stores HTTP/1.1\r\n{FIELDS}Content-Length: 100\r\n\r\n".encode()
IMPORT = f"POST /imports/polls HTTP/1.1\r\n{FIELDS}Content-Type: text/csv\r\nContent-Length: 100\r\n\r\n".encode()


def dribble(connections, pieces):
    """Sends one piece to each, a tenth of a second apart, as long as any takes it."""
    for piece in pieces:
        for connection in connections:
            try:
                connection.send(piece)
            except OSError:
                pass
        time.sleep(0.1)


def check_all(attack, connections, *expected):
    for connection in connections:
        found = answers(connection)
        attack.ended(*found[:1] or ["cut"])
        assert found == list(expected)


def test_slowloris(hasty, attacked):
    with attacked(hasty, 16) as attack:
        connections = [hasty.connect(b"GET / HTTP/1.1\r\nHost: t\r\n") for _ in range(COUNT)]
        dribble(connections, [b"X-%d: y\r\n" % index for index in range(20)])
        check_all(attack, connections, 408)


def test_slow_body(hasty, attacked):
    with attacked(hasty, 16) as attack:
        connections = [hasty.connect(POST) for _ in range(COUNT)]
        dribble(connections, [b" "] * 20)
        check_all(attack, connections, 408)


def test_slow_upload(hasty, attacked):
    """Of a streamed body, which may take longer as a whole, more must come all the time."""
    with attacked(hasty, 32) as attack:
        connections = [hasty.connect(IMPORT + b"a") for _ in range(30)]
        check_all(attack, connections, 408)


def test_endless_upload(hasty, attacked):
    with attacked(hasty, 32) as attack:
        connections = [hasty.connect(IMPORT + b"a") for _ in range(30)]
        dribble(connections, [b"b"] * 40)
        check_all(attack, connections, 408)


def test_slow_second_request(hasty, attacked):
    with attacked(hasty, 16) as attack:
        request = get(STORE_PATH)
        connections = [hasty.connect(request + b"GET /") for _ in range(COUNT)]
        check_all(attack, connections, 200, 408)


def test_idle(hasty, attacked):
    with attacked(hasty, 16) as attack:
        request = get(STORE_PATH)
        connections = [hasty.connect(request) for _ in range(COUNT)]
        check_all(attack, connections, 200)


def test_silence(hasty, attacked):
    """Not one byte."""
    with attacked(hasty, 16) as attack:
        connections = [hasty.connect() for _ in range(COUNT)]
        for connection in connections:
            found = answers(connection)
            attack.ended("cut")
            assert found == []


def test_slow_reader(hasty, attacked):
    """Wants a report without end and reads nothing of it. What is kept for each is what fits into the socket and the
    buffers on the way, not the report."""
    with attacked(hasty, 64) as attack:
        request = get(REPORT_PATH)
        connections = [hasty.connect(request, receive_buffer=4096) for _ in range(10)]
        # Twice the time it waits: what was sent before is still there to be read, the connection is not.
        time.sleep(3)
        for connection in connections:
            assert "open" not in answers(connection, most=1 << 30)
            attack.ended("cut")


def test_unread_answers(hasty, attacked):
    """Asks and asks and never reads: soon it is not read from either, then cut."""
    with attacked(hasty, 64) as attack:
        request = get(STORE_PATH) * 100
        for _ in range(3):
            connection = hasty.connect(receive_buffer=4096)
            connection.settimeout(3)
            sent = 0
            try:
                while sent < 64 << 20:
                    sent += connection.send(request)
            except (ConnectionError, TimeoutError) as error:
                assert not isinstance(error, TimeoutError), "it was neither read from nor cut"
            assert sent < 64 << 20
            attack.ended("cut")
            connection.close()
