"""Clients that send more than is taken."""

import gzip
import itertools

import pytest

from edge import FIELDS, MIB, answers

POST = f"POST /stores HTTP/1.1\r\n{FIELDS}Content-Type: application/json\r\n"
IMPORT = f"POST /imports/polls HTTP/1.1\r\n{FIELDS}Content-Type: text/csv\r\n"


def flood(edge, start, pieces):
    """Sends until it is stopped; how much, and the answers."""
    connection = edge.connect(start.encode())
    sent = 0
    try:
        for piece in pieces:
            connection.sendall(piece)
            sent += len(piece)
    except ConnectionError:
        pass
    return sent, answers(connection)


def chunk(size):
    return b"%x\r\n" % size + b"x" * size + b"\r\n"


@pytest.mark.parametrize(
    "start, length", [(POST, MIB + 1), (POST, 1 << 30), (POST, 1 << 59), (IMPORT, (1 << 30) + 1)],
    ids=["mib", "gib", "eib", "import"])
def test_declared_body(edge, attacked, start, length):
    with attacked(edge, 16) as attack:
        for _ in range(50):
            found = answers(edge.connect(f"{start}Content-Length: {length}\r\n\r\n".encode()))
            attack.ended(found[0])
            assert found == [413]


def test_gibibyte_body(edge, attacked):
    """In chunks, so that nobody knows before how much it is: no more of it is taken than may be."""
    with attacked(edge, 32) as attack:
        for _ in range(5):
            sent, found = flood(edge, f"{POST}Transfer-Encoding: chunked\r\n\r\n", itertools.repeat(chunk(65536), 16384))
            attack.ended(found[0] if found else "cut")
            # The answer was under way when the rest was sent: it may have been lost to that.
            assert found in ([413], []) and sent < 64 * MIB


def test_large_import(edge, attacked, backend):
    """What may be large passes through, and is not kept."""
    with attacked(edge, 32) as attack:
        length = 128 * MIB
        sent, found = flood(edge, f"{IMPORT}Content-Length: {length}\r\n\r\n", itertools.repeat(b"x" * 65536, length // 65536))
        # The connection is kept, so there was no end to be seen but that of our patience.
        attack.ended(found[0])
        attack.note = f" after {sent // MIB} MiB"
        assert found == [200, "open"] and backend.imported >= length


def test_gzip_bomb(edge, attacked):
    """Bodies of JSON are taken as they are, never inflated."""
    bomb = gzip.compress(b" " * (512 * MIB), 9)
    with attacked(edge, 16) as attack:
        for _ in range(20):
            start = f"{POST}Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
            _, found = flood(edge, start, [bomb])
            attack.ended(found[0])
            assert found == [415]


GET = "GET / HTTP/1.1\r\nHost: t\r\n"
CHUNKED = f"{POST}Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "start, piece, status",
    [
        ("GET /", b"a" * 65536, 414), (GET + "X: ", b"a" * 65536, 431), (GET, b"X: y\r\n" * 1000, 431),
        (GET, b"X: " + b"a" * 1000 + b"\r\n", 431), (CHUNKED + "1;", b"a" * 65536, 400), (CHUNKED, b"1;a=b\r\na\r\n" * 1000, 400),
        (CHUNKED, b"0" * 65536, 400), (CHUNKED + "0\r\n", b"X: y\r\n" * 1000, 431), (CHUNKED + "0\r\nX: ", b"a" * 65536, 431),
        ("", b"\r\n" * 1000, 400),
    ],
    ids=["target", "field", "fields", "block", "extension", "extensions", "zeros", "trailers", "trailer", "lines"])
def test_flood_of(edge, attacked, start, piece, status):
    with attacked(edge, 32) as attack:
        for _ in range(10):
            sent, found = flood(edge, start, itertools.repeat(piece, (64 * MIB) // len(piece)))
            attack.ended(found[0] if found else "cut")
            assert found in ([status], []) and sent < 32 * MIB
