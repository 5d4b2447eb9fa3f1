"""The attacks, one function each, and the process that carries them out: see `main`."""

import collections
import dataclasses
import json
import sys
import time
from collections.abc import Callable

import wire
from wire import Connection, data, frame, literal, ping, request, reset, settings, window_update

CALM = "GOAWAY ENHANCE_YOUR_CALM"
# More than any limit allows: whoever is not cut off by then never is.
ENOUGH_FRAMES = 30_000
# So much in one go, as a fast peer does it.
CHUNK_FRAMES = 200


@dataclasses.dataclass(frozen=True)
class Attack:
    """`run` does its worst on a connection that has said hello and has stream 1 open; `expected` is how that ends."""

    run: Callable[[Connection], None]
    expected: str = CALM
    # Server options that make its timers short enough for a test.
    options: tuple[str, ...] = ()
    # What it may make the server hold, beyond what it held before.
    memory_mib: int = 48


def flood(frame_of):
    """Sends `frame_of(0)`, `frame_of(1)` … until the connection ends."""

    def run(connection):
        for start in range(0, ENOUGH_FRAMES, CHUNK_FRAMES):
            chunk = b"".join(map(frame_of, range(start, start + CHUNK_FRAMES)))
            if not connection.send(chunk) or not connection.glance():
                break

    return run


def provoke(fault_of):
    """Makes the server reset a hundred streams at a time, and waits until it has: resets that it has not written yet
    would let its streams run out first, which is another row."""

    def run(connection):
        for start in range(0, ENOUGH_FRAMES, 100):
            faults = b"".join(fault_of(stream_of(index)) for index in range(start, start + 100))
            if not connection.send(faults):
                break
            while len(connection.resets) < start + 100 and connection.ending is None and connection.receive():
                pass
            if connection.ending:
                break

    return run


def once(*frames):
    return lambda connection: connection.send(b"".join(frames))


def stream_of(index):
    """Streams beside the one that is open: 3, 5, 7 …"""
    return 2 * index + 3


def header_bomb():
    # One field of 4,000 bytes into the table, then references to it: a byte each, for 4,033 bytes of header list.
    field = b"\x40\x01a" + b"\x7f\xa1\x1e" + b"b" * 4000
    return once(request(3, block=wire.request_block("/a/b") + field + b"\xbe" * 12_000))


def header_list():
    fields = (literal(b"x-%d" % index, b"y" * 100) for index in range(400))
    block = wire.request_block("/a/b") + b"".join(fields)
    return continued([block[start : start + 16_000] for start in range(0, len(block), 16_000)])


def continued(parts):
    """A header list in many frames, none of which says that it is the last."""
    return once(
        frame(wire.HEADERS, 0, 3, parts[0]), *(frame(wire.CONTINUATION, 0, 3, part) for part in parts[1:])
    )


def trickle(connection):
    """A header list that arrives a byte at a time and never ends."""
    for byte in request(3)[:-1]:
        if not connection.send(bytes([byte])) or not connection.glance():
            return
        time.sleep(0.05)


def greedy_and_deaf(connection):
    """Asks for more than the buffers of both kernels hold and does not read."""
    # StreamingOutputCallRequest{response_parameters: [{size: 60,000}] × 100}
    body = b"\x12\x04\x08\xe0\xd4\x03" * 100
    connection.send(window_update(0, 0x7000_0000))
    for index in range(100):
        stream = stream_of(index)
        call = request(stream, f"{wire.SERVICE}/StreamingOutputCall") + data(stream, wire.message(body), end=True)
        connection.send(call)
    # Reading would help the server; whether it has closed shows in writing.
    while connection.send(window_update(0, 1)):
        time.sleep(0.2)


def deaf_and_talkative(connection):
    """Makes one call after the other and reads no answer."""
    for start in range(1, 1_000_000, 100):
        if not connection.send(b"".join(request(stream_of(start + index), end=True) for index in range(100))):
            return


def zero_window(connection):
    """Asks, and grants no window for the answers."""
    connection.send(settings((4, 0)))
    body = b"\x12\x04\x08\xe0\xd4\x03"
    for index in range(100):
        stream = stream_of(index)
        connection.send(
            request(stream, f"{wire.SERVICE}/StreamingOutputCall") + data(stream, wire.message(body), end=True)
        )


def hoarder(connection):
    """Asks for 256 answers of 4 MiB, which is a gigabyte, and grants no window."""
    connection.send(settings((4, 0)))
    # SimpleRequest{response_size: 4,194,304}
    body = wire.message(b"\x10\x80\x80\x80\x02")
    for index in range(250):
        connection.send(request(stream_of(index), f"{wire.SERVICE}/UnaryCall") + data(stream_of(index), body, end=True))


def too_many_streams(connection):
    connection.send(b"".join(request(stream_of(index), f"{wire.SERVICE}/FullDuplexCall") for index in range(300)))


ATTACKS = {
    "rapid reset": Attack(flood(lambda i: request(stream_of(i)) + reset(stream_of(i)))),
    "made you reset: window overflow": Attack(
        provoke(lambda stream: request(stream, end=True) + window_update(stream, 0x7FFF_FFFF))
    ),
    "made you reset: empty window update": Attack(
        flood(lambda i: request(stream_of(i), end=True) + window_update(stream_of(i), 0)),
        "GOAWAY PROTOCOL_ERROR",
    ),
    "made you reset: malformed request": Attack(provoke(lambda stream: request(stream, block=b"\x83\x86"))),
    "empty DATA": Attack(flood(lambda i: data(1))),
    "padding only": Attack(flood(lambda i: frame(wire.DATA, 8, 1, b"\xff" + bytes(255)))),
    "PRIORITY": Attack(flood(lambda i: frame(wire.PRIORITY, 0, stream_of(i), b"\0\0\0\0\1"))),
    "PRIORITY_UPDATE": Attack(flood(lambda i: frame(wire.PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1"))),
    "unknown frames": Attack(flood(lambda i: frame(0xE0 + i % 16, 0xFF, i, b"?"))),
    "WINDOW_UPDATE": Attack(flood(lambda i: window_update(i % 2, 1))),
    "SETTINGS": Attack(flood(lambda i: settings((4, 65_535 + i % 2)))),
    "PING": Attack(flood(lambda i: ping())),
    "three hasty PINGs": Attack(once(*[ping()] * 4)),
    "CONTINUATION": Attack(continued([b""] * 100)),
    "header list of 54 KiB": Attack(header_list()),
    "HPACK bomb": Attack(header_bomb()),
    "frame over 16 KiB": Attack(once(data(1, bytes(16_385))), "GOAWAY FRAME_SIZE_ERROR"),
    "300 streams": Attack(too_many_streams, "GOAWAY PROTOCOL_ERROR"),
}

# Attacks by doing nothing: the server has to notice by itself.
SLOW_ATTACKS = {
    "no preface": Attack(lambda connection: None, "closed", ("--introduction-timeout", "0.5")),
    "trickled header list": Attack(trickle, CALM, ("--header-block-timeout", "0.5")),
    "reads nothing": Attack(greedy_and_deaf, "closed", ("--write-stall-timeout", "1")),
    "calls without end, reads nothing": Attack(deaf_and_talkative, "closed", ("--write-stall-timeout", "1")),
    "grants no window": Attack(zero_window, CALM, ("--window-stall-timeout", "1")),
    "asks for a gigabyte": Attack(hoarder, CALM, ("--window-stall-timeout", "1"), memory_mib=128),
    "answers no PING": Attack(
        lambda connection: None, "closed", ("--keepalive-interval", "0.5", "--keepalive-timeout", "0.5")
    ),
    "idle": Attack(lambda connection: None, "closed", ("--idle-timeout", "0.5", "--drain-notice-timeout", "0.5")),
}


def main(name, address, prepared):
    """Says "ready"; for each line it then reads, a number of seconds, attacks for so long and says what came of it.

    With `prepared` connections it makes them at once, each with a call open, for a server that will accept no others.
    """
    attack = ATTACKS[name]

    def connect():
        connection = Connection(address).introduced()
        connection.send(request(1, f"{wire.SERVICE}/FullDuplexCall"))
        return connection

    connections = [connect() for _ in range(prepared)]
    print("ready", flush=True)
    for line in sys.stdin:
        until = time.monotonic() + float(line)
        endings, sent, count = collections.Counter(), 0, 0
        while time.monotonic() < until and (connections or not prepared):
            connection = connections.pop() if prepared else connect()
            attack.run(connection)
            endings[connection.end()] += 1
            sent += connection.sent
            count += 1
            connection.close()
            time.sleep(PAUSE_SECONDS)
        print(json.dumps({"attacks": count, "bytes": sent, "endings": endings}), flush=True)


# Between two attacks: one process shall not show how fast Python is, but what one peer can do.
PAUSE_SECONDS = 0.05

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
