"""The attacks, one function each, and the process that carries them out: see `main`."""

import collections
import concurrent.futures
import dataclasses
import functools
import json
import ssl
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
# Between two calls of those that make many.
ASK_SECONDS = 0.004
# StreamingOutputCallRequest{response_parameters: {size: 60,000}}
SIXTY_THOUSAND_BYTES = b"\x12\x04\x08\xe0\xd4\x03"
# SimpleRequest{response_size: 300,000}
THREE_HUNDRED_THOUSAND_BYTES = b"\x10\xe0\xa7\x12"
# SimpleRequest{response_size: 4,194,304}
FOUR_MEBIBYTES = b"\x10\x80\x80\x80\x02"


@dataclasses.dataclass(frozen=True)
class Attack:
    """`run` does its worst on a connection that has said hello and has stream 1 open; `expected` is how that ends."""

    run: Callable[[Connection], None]
    expected: str = CALM
    # Server options that make its timers short enough for a test.
    options: tuple[str, ...] = ()
    # What it may make the server hold, beyond what it held before anybody had called it. Where it is more, what is
    # configured allows it, and is said at the attack.
    memory_mib: int = 32
    # Whether it is compared what others feel. What answers cost to make is no attack, but the business of whoever may
    # ask for them.
    is_compared: bool = True
    # How the connection begins.
    introduction: bytes = PREFACE + settings()
    # The request that opens stream 1, if any.
    opening: bytes = request(1, f"{wire.SERVICE}/FullDuplexCall")
    # How many connections do it at once, and how many attacks begin in a second; without a number each connection is
    # followed by the next at once.
    connections: int = 4
    rate: int | None = 100
    # Whether a server that has named its last stream can be attacked so, and how that ends if otherwise.
    drains: bool = True
    expected_drained: str | None = None
    # Whether the server speaks TLS.
    tls: bool = False
    # What honest clients do in its place, on as many connections and at the same rate: what calm is measured with.
    honest: Callable[[Connection], None] | None = None
    # A server that is full has no room for honest clients: calm is without them.
    alone: bool = False
    # How long an attack of those that take their time lasts: honest clients come again as often.
    lasts: float = 0.5

    def connect(self, address):
        # Those that take their time read little.
        connection = Connection(address, self.introduction, receive_buffer=None if self.rate else 4096)
        if self.expected.startswith("grpc-status"):
            connection.reading_answers()
        if self.introduction.endswith(settings()):
            connection.introduced()
        connection.send(self.opening)
        return connection

    def connect_honestly(self, address):
        tls = ssl._create_unverified_context() if self.tls else None
        connection = Connection(address, tls=tls).reading_answers().introduced()
        if not self.honest:
            connection.send(request(1, f"{wire.SERVICE}/FullDuplexCall"))
        elif self.opening:
            connection.send(self.opening)
        return connection

    def be_honest(self, connection):
        (self.honest or polite)(connection)


def polite(connection):
    """Asks for an answer of a byte on the stream that is open, and ends the call."""
    connection.send(data(1, wire.message(b"\x12\x02\x08\x01"), end=True))
    connection.answer([1])


def reading(count, body):
    """Asks the same as the attack, or as much of it as that is given, and takes what it asked for."""

    def run(connection):
        connection.send(settings((4, 0x7000_0000)) + window_update(0, 0x7000_0000))
        ask(connection, count, body)
        connection.answer([stream_of(index) for index in range(count)])

    return run


def sending(count, size):
    """Makes so many calls with a message of so many bytes."""

    def varint(number):
        return bytes([number & 127 | 128]) + varint(number >> 7) if number > 127 else bytes([number])

    # SimpleRequest{payload: {body: …}}
    payload = b"\x12" + varint(size) + bytes(size)
    message = wire.message(b"\x1a" + varint(len(payload)) + payload)

    def run(connection):
        streams = [stream_of(index) for index in range(count)]
        for stream in streams:
            connection.send(request(stream, f"{wire.SERVICE}/UnaryCall"))
            connection.send_data(stream, message, end=True)
        connection.answer(streams)

    return run


def many_calls(connection):
    """As many calls at once as a connection may have."""
    streams = [stream_of(index) for index in range(254)]
    connection.send(b"".join(request(stream) + data(stream, wire.message(), end=True) for stream in streams))
    connection.send(data(1, b"", end=True))
    connection.answer(streams)


def eight_watches(connection):
    for index in range(8):
        stream = stream_of(index)
        connection.send(request(stream, "/grpc.health.v1.Health/Watch") + data(stream, wire.message(), end=True))
    connection.glance()


def flood(frame_of):
    """Sends `frame_of(0)`, `frame_of(1)` … until the connection ends."""

    def run(connection):
        for start in range(0, ENOUGH_FRAMES, CHUNK_FRAMES):
            if not connection.send(chunk(start)) or not connection.glance():
                break

    # Made once: it is sent that is to take the time.
    @functools.cache
    def chunk(start):
        return b"".join(map(frame_of, range(start, start + CHUNK_FRAMES)))

    return run


def provoke(fault_of):
    """Makes the server reset a hundred streams at a time, and waits until it has: resets that it has not written yet
    would let its streams run out first, which is another row."""

    def run(connection):
        for start in range(0, ENOUGH_FRAMES, 100):
            if not connection.send(faults(start)):
                break
            # A server that has named its last stream ignores these.
            while not connection.is_drained and len(connection.resets) < start + 100 and connection.receive():
                pass
            if not connection.glance():
                break

    @functools.cache
    def faults(start):
        return b"".join(fault_of(stream_of(index)) for index in range(start, start + 100))

    return run


def once(frames):
    return lambda connection: connection.send(frames)


def stream_of(index):
    """Streams beside the one that is open: 3, 5, 7 …"""
    return 2 * index + 3


def header_bomb(connection):
    """One field of 4,000 bytes into the table, then references to it: a byte each, for 4,033 bytes of header list."""
    stream, start = header_list_begun(connection)
    field = b"\x40\x01a" + b"\x7f\xa1\x1e" + b"b" * 4000
    connection.send(request(stream, block=start + field + b"\xbe" * 12_000))


def header_list(connection):
    """54 KiB as a peer counts them, in three frames of which none says that it is the last."""
    stream, start = header_list_begun(connection)
    block = start + b"".join(literal(b"x-%d" % index, b"y" * 100) for index in range(400))
    connection.send(continued(stream, [block[start : start + 16_000] for start in range(0, len(block), 16_000)]))


def header_list_begun(connection):
    """Where a list of headers is read, and how it begins: a request on a new stream; from a server that has named its
    last one, the trailers of the one that is open."""
    return (1, b"") if connection.is_drained else (3, wire.request_block("/a/b"))


def continued(stream, parts):
    """A header list in many frames, none of which says that it is the last."""
    return frame(wire.HEADERS, 0, stream, parts[0]) + b"".join(
        frame(wire.CONTINUATION, 0, stream, part) for part in parts[1:]
    )


def trickle(connection):
    """A header list that arrives a byte at a time and never ends."""
    for byte in request(3)[:-1]:
        if not connection.send(bytes([byte])) or not connection.glance():
            return
        time.sleep(0.05)


def calls(method, count):
    """The headers of so many calls, on streams 3, 5, 7 …: a server that drains lets them go on."""
    return b"".join(request(stream_of(index), f"{wire.SERVICE}/{method}") for index in range(count))


def ask(connection, count, body):
    """Sends the message of each of so many calls that are open, not all at once: how long it takes to make the answers
    is the handlers' affair."""
    for index in range(count):
        if not connection.send(data(stream_of(index), wire.message(body), end=True)):
            return
        time.sleep(ASK_SECONDS)


def read_nothing(connection):
    """Reading would help the server; whether it has closed shows in writing."""
    for _ in range(200):
        if not connection.send(window_update(0, 1)):
            return
        time.sleep(0.05)


def greedy_and_deaf(connection):
    """Asks for more than the buffers of both kernels hold and does not read."""
    connection.send(window_update(0, 0x7000_0000))
    ask(connection, 100, SIXTY_THOUSAND_BYTES * 100)
    read_nothing(connection)


def deaf_and_talkative(connection):
    """Makes one call after the other and reads no answer."""
    for start in range(1, 1_000_000, 100):
        if not connection.send(b"".join(request(stream_of(start + index), end=True) for index in range(100))):
            return


def zero_window(connection):
    """Asks, and grants no window for the answers."""
    connection.send(settings((4, 0)))
    ask(connection, 100, SIXTY_THOUSAND_BYTES)


def hoarder(connection):
    """Asks for 250 answers, which are more than a connection may have queued, and grants no window."""
    connection.send(settings((4, 0)))
    ask(connection, 250, THREE_HUNDRED_THOUSAND_BYTES)


def last_of_an_answer(connection):
    """Takes all of an answer but what the kernels hold, so that no stream is left and the rest stays in the server."""
    # More than the buffers of both kernels hold; the window for all of it.
    connection.send(settings((4, 0x7000_0000)) + window_update(0, 0x7000_0000))
    ask(connection, 1, FOUR_MEBIBYTES)
    read_nothing(connection)


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
        "GOAWAY PROTOCOL_ERROR", expected_drained=CALM,
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
    "three hasty PINGs": Attack(once(ping() * 4)),
    "CONTINUATION": Attack(once(continued(3, [b""] * 100))),
    "header list of 54 KiB": Attack(header_list),
    "HPACK bomb": Attack(header_bomb),
    "frame over 16 KiB": Attack(once(data(1, bytes(16_385))), "GOAWAY FRAME_SIZE_ERROR"),
    "tiny messages": Attack(tiny_messages, "grpc-status 0", is_compared=False),
    # 64 KiB that are 64 MiB: whoever may send 4 MiB has us inflate as much before it shows that there is more.
    "gzip bomb": Attack(
        gzip_bomb, "grpc-status 8", is_compared=False,
        opening=request(
            1, block=wire.request_block(f"{wire.SERVICE}/FullDuplexCall", (b"grpc-encoding", b"gzip"))
        ),
    ),
    # A server that has named its last stream ignores them: "rapid reset" is the same there.
    "300 streams": Attack(too_many_streams, "GOAWAY PROTOCOL_ERROR", drains=False, honest=many_calls),
}

# On a server that has as many connections as it takes.
REFUSED = {"one connection more": Attack(lambda connection: None, "closed", opening=b"", drains=False, alone=True)}

# A record of TLS that announces 512 bytes, and the first of them.
HALF_A_CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)


def slow(run, expected, *options, connections=64, **others):
    """Attacks by doing nothing: the server has to notice by itself, by timers that the options make short."""
    return Attack(run, expected, options, connections=connections, rate=None, **others)


WRITE_STALL = ("--write-stall-timeout", "0.5")
WINDOW_STALL = ("--window-stall-timeout", "0.5")
REQUEST_TIMEOUT = ("--request-timeout", "1")

SLOW_ATTACKS = {
    # One that has not introduced itself is gone before the drain has got anywhere.
    "no preface": slow(
        lambda connection: None, "closed", "--introduction-timeout", "0.5", introduction=PREFACE[:10], opening=b"",
        drains=False, honest=lambda connection: None,
    ),
    # The same.
    "half a TLS handshake": slow(
        lambda connection: None, "closed", "--tls-handshake-timeout", "0.5", introduction=HALF_A_CLIENT_HELLO,
        opening=b"", connections=256, drains=False, tls=True,
        honest=lambda connection: None,
    ),
    "trickled header list": slow(trickle, CALM, "--header-block-timeout", "0.5"),
    # A call may have 64 KiB queued before its writer waits, and is then in the middle of a message: of 60,000 bytes,
    # two, each in a buffer of 64 KiB, and the one its handler has in hand. 4 × 100 × 3 × 64 KiB; `maxQueuedBytes` would
    # allow 4 × 64 MiB.
    "reads nothing": slow(
        greedy_and_deaf, "closed", *WRITE_STALL, opening=calls("StreamingOutputCall", 100), connections=4,
        memory_mib=4 * 100 * 3 // 16 + 32, honest=reading(100, SIXTY_THOUSAND_BYTES * 2), lasts=1,
    ),
    # 8 × 4 MiB, in buffers that grew to twice as much. What they cost to make, in memory that nobody has given back, is
    # not compared: "reads nothing" is what tells of readers that are slow.
    "reads no end of an answer": slow(
        last_of_an_answer, "closed", *WRITE_STALL, opening=calls("UnaryCall", 1), connections=8,
        memory_mib=8 * 4 * 2 + 32, is_compared=False, honest=reading(1, FOUR_MEBIBYTES),
    ),
    # A server that has named its last stream ignores the calls: "rapid reset" is the same there.
    "calls without end, reads nothing": slow(
        deaf_and_talkative, "closed", *WRITE_STALL, connections=1, drains=False,
    ),
    # A message of 60,000 bytes is in a buffer of 64 KiB: 4 × 100 × 64 KiB.
    "grants no window": slow(
        zero_window, CALM, *WINDOW_STALL, opening=calls("StreamingOutputCall", 100), connections=4,
        memory_mib=4 * 100 // 16 + 32, honest=reading(100, SIXTY_THOUSAND_BYTES), lasts=1,
    ),
    # 250 × 300,000 bytes are 72 MiB; `maxQueuedBytes` is 64 MiB.
    "asks for too much": slow(
        hoarder, CALM, *WINDOW_STALL, opening=calls("UnaryCall", 250), connections=1, memory_mib=64 + 32,
        honest=reading(250, THREE_HUNDRED_THOUSAND_BYTES), lasts=1.5,
    ),
    # The connections that were made in advance would be gone.
    "answers no PING": slow(
        lambda connection: None, "closed", "--keepalive-interval", "0.5", "--keepalive-timeout", "0.5", drains=False,
    ),
    # One without streams ends with the drain.
    "idle": slow(
        lambda connection: None, "closed", "--idle-timeout", "0.5", "--drain-notice-timeout", "0.5", opening=b"",
        drains=False, honest=lambda connection: None,
    ),
    # The time of a request would be over before the attack. 8 × 255 × 16 KiB.
    "unfinished bodies": slow(
        unfinished_bodies, "grpc-status 4", *REQUEST_TIMEOUT, connections=8, memory_mib=8 * 4 + 32, drains=False,
        honest=sending(255, 16_000), lasts=1,
    ),
    # The same. `maxBufferedBytes` is 64 MiB.
    "hoarded requests": slow(
        hoarded_requests, "grpc-status 4 and 8", *REQUEST_TIMEOUT, connections=1, memory_mib=64 + 32, drains=False,
        honest=sending(15, 4_000_000), lasts=1,
    ),
    # These end when a server drains.
    "watches": slow(watches, "grpc-status 8, 8 go on", drains=False, honest=eight_watches),
}
ALL = {**ATTACKS, **SLOW_ATTACKS, **REFUSED}


def main(name, address, prepared):
    """Says "ready"; then, for each line that it reads, does what it says.

    "attack 0.5": to begin attacks for so many seconds, and to say what came of them when the last is over. "calm 0.5": to
    be as many honest clients in their place. "drained?": to say "drained" when each of the `prepared` connections for
    either, which are made at once and are then all there are, has been told which stream was its last.
    """
    attack = ALL[name]
    attackers = collections.deque(attack.connect(address) for _ in range(prepared))
    honest = collections.deque(attack.connect_honestly(address) for _ in range(prepared))
    print("ready", flush=True)
    with concurrent.futures.ThreadPoolExecutor(attack.connections) as pool:
        for line in sys.stdin:
            match line.split():
                case ["drained?"]:
                    for connection in [*attackers, *honest]:
                        connection.drained()
                    print("drained", flush=True)
                    continue
                case ["attack", seconds]:
                    take = attackers.popleft if prepared else functools.partial(attack.connect, address)
                    act = functools.partial(assault, attack)
                case ["calm", seconds] if attack.alone:
                    time.sleep(float(seconds))
                    tell([("honest", 0)])
                    continue
                case ["calm", seconds]:
                    take = honest.popleft if prepared else functools.partial(attack.connect_honestly, address)
                    act = functools.partial(visit, attack)
            work = functools.partial(one_after_the_other, attack, take, act, time.monotonic(), float(seconds))
            tell([result for results in pool.map(work, range(attack.connections)) for result in results])


def assault(attack, connection):
    attack.run(connection)
    return connection.end()


def visit(attack, connection):
    start = time.monotonic()
    attack.be_honest(connection)
    if not attack.rate:
        time.sleep(max(start + attack.lasts - time.monotonic(), 0))
    return "honest"


def one_after_the_other(attack, take, act, start, seconds, worker):
    """Each when it is due; the workers take turns. Those without a rate begin one after the other."""
    results, number = [], 0
    while True:
        if attack.rate or not number:
            due = start + (number * attack.connections + worker) / (attack.rate or attack.connections / attack.lasts)
            time.sleep(max(due - time.monotonic(), 0))
        if number and time.monotonic() >= start + seconds:
            return results
        number += 1
        connection = take()
        results.append((act(connection), connection.sent))
        connection.close()


def tell(results):
    endings = collections.Counter(ending for ending, _ in results)
    size = sum(size for _, size in results)
    print(json.dumps({"attacks": len(results), "bytes": size, "endings": endings}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
