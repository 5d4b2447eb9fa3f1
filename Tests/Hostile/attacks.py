"""The attacks, one function each, and the process that carries them out: see `main`."""

import collections
import concurrent.futures
import dataclasses
import functools
import json
import sys
import time
import zlib
from collections.abc import Callable

import wire
from wire import PREFACE, Connection, data, frame, literal, ping, request, reset, settings, window_update

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
    # What it may delay others by whatever they see in calm, in milliseconds, and why is said at the attack.
    delay_ms: float = 0
    # How the connection begins.
    introduction: bytes = PREFACE + settings()
    # The request that opens stream 1, if any.
    opening: bytes = request(1, f"{wire.SERVICE}/FullDuplexCall")
    # Slow attacks: how many connections do it at once, and whether a server that drains can be attacked so.
    connections: int = 64
    drains: bool = True
    # Whether the server speaks TLS.
    tls: bool = False

    def connect(self, address, receive_buffer=None):
        connection = Connection(address, self.introduction, receive_buffer)
        if self.expected.startswith("grpc-status"):
            connection.reading_answers()
        if self.introduction.endswith(settings()):
            connection.introduced()
        connection.send(self.opening)
        return connection


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


def last_of_an_answer(connection):
    """Takes all of an answer but what the kernels hold, so that no stream is left and the rest stays in the server."""
    # SimpleRequest{response_size: 4,194,304}, more than the buffers of both kernels hold; the window for all of it.
    connection.send(reset(1) + settings((4, 0x7000_0000)) + window_update(0, 0x7000_0000))
    connection.send(request(3, f"{wire.SERVICE}/UnaryCall") + data(3, wire.message(b"\x10\x80\x80\x80\x02"), end=True))
    # Reading would help the server; whether it has closed shows in writing.
    while connection.send(window_update(0, 1)):
        time.sleep(0.2)


def tiny_messages(connection):
    """Half a mebibyte of messages of no bytes, five of which tell that there are none, to a handler that reads them."""
    connection.send_data(1, wire.message() * (512 * 1024 // 5), end=True)
    connection.answer([1])


@functools.cache
def bomb():
    return b"\1" + wire.message(zlib.compress(bytes(64 << 20), 9, wbits=31))[1:]


def gzip_bomb(connection):
    """A message of 64 KiB that would be 64 MiB: sixteen times what a message may be."""
    connection.send_data(1, bomb())
    connection.answer([1])


@functools.cache
def small_bomb():
    # SimpleRequest{payload: {body: 4,000,000 zeros}}: as long as a message may be, in 4 KiB.
    body = b"\x12\x80\x92\xf4\x01" + bytes(4_000_000)
    payload = b"\x1a" + varint(len(body)) + body
    return b"\1" + wire.message(zlib.compress(payload, 9, wbits=31))[1:]


def varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(encoded) + bytes([value])


def gzip_bombs(connection):
    """Thirty calls in one go, each of which is all right and inflates to 4 MiB."""
    streams = [stream_of(index) for index in range(30)]
    block = wire.request_block(f"{wire.SERVICE}/UnaryCall", (b"grpc-encoding", b"gzip"))
    connection.send(
        b"".join(request(stream, block=block) + data(stream, small_bomb(), end=True) for stream in streams)
    )
    connection.answer(streams)


def unfinished_bodies(connection):
    """As many calls as a connection may have, the message of each announced and begun."""
    streams = [stream_of(index) for index in range(255)]
    for stream in streams:
        connection.send(request(stream, f"{wire.SERVICE}/UnaryCall"))
        connection.send_data(stream, b"\0\0\x10\0\0" + bytes(16_000))
    connection.answer(streams)


def hoarded_requests(connection):
    """Messages as long as they may be, of which only the last byte is missing."""
    streams = [stream_of(index) for index in range(20)]
    for stream in streams:
        connection.send(request(stream, f"{wire.SERVICE}/UnaryCall"))
        connection.send_data(stream, wire.message(bytes(4 << 20))[:-1])
    connection.answer(streams)


def watches(connection):
    """Twenty calls that go on until somebody ends them, of which a connection may have eight."""
    streams = [stream_of(index) for index in range(20)]
    for stream in streams:
        connection.send(request(stream, "/grpc.health.v1.Health/Watch") + data(stream, wire.message(), end=True))
    connection.answer(streams[8:])
    connection.ending = f"{connection.ending}, {len(streams) - len(connection.answers)} go on"


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
    "tiny messages": Attack(tiny_messages, "grpc-status 0"),
    "gzip bomb": Attack(
        # Whoever may send 4 MiB has us inflate as much before it shows that there is more, in one go: one message is
        # not worth a hop to another thread.
        gzip_bomb, "grpc-status 8", delay_ms=15,
        opening=request(
            1, block=wire.request_block(f"{wire.SERVICE}/FullDuplexCall", (b"grpc-encoding", b"gzip"))
        ),
    ),
    "thirty gzip bombs": Attack(
        # One of them in a turn of the loop, and others between any two: what each takes, and what is made of it.
        gzip_bombs, "grpc-status 0", delay_ms=15, memory_mib=64,
    ),
    "300 streams": Attack(too_many_streams, "GOAWAY PROTOCOL_ERROR"),
}

# On a server that has as many connections as it takes.
REFUSED = {"one connection more": Attack(lambda connection: None, "closed", opening=b"")}

# A record of TLS that announces 512 bytes, and the first of them.
HALF_A_CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)

# Attacks by doing nothing: the server has to notice by itself.
SLOW_ATTACKS = {
    "no preface": Attack(
        lambda connection: None, "closed", ("--introduction-timeout", "0.5"), introduction=PREFACE[:10],
        opening=b"", drains=False,
    ),
    "half a TLS handshake": Attack(
        lambda connection: None, "closed", ("--tls-handshake-timeout", "0.5"), introduction=HALF_A_CLIENT_HELLO,
        opening=b"", connections=256, drains=False, tls=True,
    ),
    "trickled header list": Attack(trickle, CALM, ("--header-block-timeout", "0.5")),
    "reads nothing": Attack(
        greedy_and_deaf, "closed", ("--write-stall-timeout", "1"), connections=1
    ),
    "reads no end of an answer": Attack(
        last_of_an_answer, "closed", ("--write-stall-timeout", "1"), connections=8, memory_mib=96
    ),
    "calls without end, reads nothing": Attack(
        deaf_and_talkative, "closed", ("--write-stall-timeout", "1"), connections=1
    ),
    "grants no window": Attack(zero_window, CALM, ("--window-stall-timeout", "1"), connections=8, memory_mib=128),
    "asks for a gigabyte": Attack(
        hoarder, CALM, ("--window-stall-timeout", "1"), connections=1, memory_mib=128
    ),
    "answers no PING": Attack(
        lambda connection: None, "closed", ("--keepalive-interval", "0.5", "--keepalive-timeout", "0.5"),
        drains=False,
    ),
    "idle": Attack(
        lambda connection: None, "closed", ("--idle-timeout", "0.5", "--drain-notice-timeout", "0.5"),
        opening=b"", drains=False,
    ),
    "unfinished bodies": Attack(
        unfinished_bodies, "grpc-status 4", ("--request-timeout", "1.5"), connections=8, memory_mib=64, drains=False
    ),
    # 64 MiB are what the requests of a connection may occupy.
    "hoarded requests": Attack(
        hoarded_requests, "grpc-status 4 and 8", ("--request-timeout", "1.5"), connections=1, memory_mib=96,
        drains=False,
    ),
    "watches": Attack(watches, "grpc-status 8, 8 go on", drains=False),
}


def main(name, address, prepared):
    """Says "ready"; for each line it then reads, a number of seconds, attacks for so long and says what came of it.

    With `prepared` connections it makes them at once, each with a call open, for a server that will accept no others.
    """
    if name in SLOW_ATTACKS:
        return main_slow(SLOW_ATTACKS[name], address, prepared)
    attack = {**ATTACKS, **REFUSED}[name]
    connections = [attack.connect(address) for _ in range(prepared)]
    print("ready", flush=True)
    for line in sys.stdin:
        until = time.monotonic() + float(line)
        results = []
        while time.monotonic() < until and len(results) < MOST_IN_WINDOW and (connections or not prepared):
            results.append(assault(attack, connections.pop() if prepared else attack.connect(address)))
            time.sleep(PAUSE_SECONDS)
        tell(results)


def main_slow(attack, address, prepared):
    """The same, with as many connections as the attack has, all at once, and until each of them has ended."""

    def connect():
        return attack.connect(address, receive_buffer=4096)

    connections = [connect() for _ in range(prepared)]
    print("ready", flush=True)
    with concurrent.futures.ThreadPoolExecutor(attack.connections) as pool:
        for _ in sys.stdin:
            attacking = [connections.pop() if prepared else connect() for _ in range(attack.connections)]
            tell(list(pool.map(functools.partial(assault, attack), attacking)))


def assault(attack, connection):
    """How it ended, and what it took."""
    attack.run(connection)
    ending = connection.end()
    connection.close()
    return ending, connection.sent


def tell(results):
    endings = collections.Counter(ending for ending, _ in results)
    size = sum(size for _, size in results)
    print(json.dumps({"attacks": len(results), "bytes": size, "endings": endings}), flush=True)


# Between two attacks. About a hundred a second are enough to be seen in the slowest hundredth of others' calls.
PAUSE_SECONDS = 0.01
MOST_IN_WINDOW = 24

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
