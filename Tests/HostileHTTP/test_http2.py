"""HTTP/2 in brief: that what the module withstands (Tests/Hostile) it withstands here too, with the Edge's limits."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "Hostile"))

import wire  # noqa: E402

from edge import KEY, STORE_PATH  # noqa: E402


def block(path=STORE_PATH, *fields):
    # :method GET and :scheme http are in the static table.
    return b"\x82\x86" + b"".join(
        wire.literal(name, value) for name, value in ((b":path", path.encode()), (b":authority", b"t"), (b"x-api-key", KEY.encode()), *fields))


def request(stream, end=True, headers=None):
    return wire.frame(wire.HEADERS, wire.END_HEADERS | (wire.END_STREAM if end else 0), stream, headers or block())


def streams():
    return range(1, 1 << 20, 2)


def rapid_reset(connection):
    for stream in streams():
        if not connection.send(request(stream) + wire.reset(stream)) or not connection.glance():
            return


def continuation(connection):
    connection.send(wire.frame(wire.HEADERS, wire.END_STREAM, 1, block()))
    while connection.send(wire.frame(wire.CONTINUATION, 0, 1, wire.literal(b"x", b"y" * 100) * 10)) and connection.glance():
        pass


def settings_flood(connection):
    while connection.send(wire.settings((3, 100)) * 100) and connection.glance():
        pass


def ping_flood(connection):
    while connection.send(wire.ping() * 100) and connection.glance():
        pass


def empty_data(connection):
    connection.send(request(1, end=False))
    while connection.send(wire.data(1) * 100) and connection.glance():
        pass


def header_bomb(connection):
    """One field in the table, then its index a thousand times in each request."""
    connection.send(request(1, headers=block() + b"\x40\x01x" + b"\x7f\xa1\x1e" + b"y" * 4000))
    for stream in list(streams())[1:]:
        if not connection.send(request(stream, headers=block() + b"\xbe" * 1000)) or not connection.glance():
            return


ATTACKS = [rapid_reset, continuation, settings_flood, ping_flood, empty_data, header_bomb]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_http2(edge, attacked, attack):
    with attacked(edge, 32) as measured:
        for _ in range(10):
            host, port = edge.address
            connection = wire.Connection(f"{host}:{port}").introduced()
            attack(connection)
            while connection.ending in (None, "closed", "blocked") and connection.receive(2):
                pass
            measured.ended(connection.ending)
            connection.close()
            assert connection.ending in ("GOAWAY ENHANCE_YOUR_CALM", "closed")


def test_unread_streams(hasty, attacked):
    """A hundred reports without end at once, and no window for any."""
    with attacked(hasty, 96) as measured:
        host, port = hasty.address
        for _ in range(3):
            connection = wire.Connection(f"{host}:{port}").introduced()
            path = STORE_PATH.replace("/stores/", "/get_report/")
            for stream in range(1, 40, 2):
                connection.send(request(stream, headers=block(path)))
            while connection.receive(5) and len(connection.resets) < 20:
                pass
            measured.ended(connection.ending or f"{len(connection.resets)} resets")
            assert connection.ending or len(connection.resets) == 20
            connection.close()
