"""HTTP/2 by hand: frames as bytes, sent by a peer that need not be honest."""

import collections
import select
import socket
import ssl
import struct
import time

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 0x10
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
ERRORS = (
    "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR "
    "REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM"
).split()
SERVICE = "/grpc.testing.TestService"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(*entries):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *entry) for entry in entries))


def data(stream, payload=b"", end=False):
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def message(payload=b""):
    """A gRPC message, not compressed."""
    return b"\0" + struct.pack(">I", len(payload)) + payload


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def reset(stream, code=8):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def ping(payload=b"12345678", ack=False):
    return frame(PING, ACK if ack else 0, 0, payload)


def literal(name, value):
    """A header field that no table remembers (RFC 7541, 6.2.2), shorter than 127 bytes in name and value."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def request_block(path, *fields):
    # :method POST and :scheme http are in the static table.
    return b"\x83\x86" + b"".join(
        literal(name, value)
        for name, value in (
            (b":path", path.encode()), (b":authority", b"hostile"), (b"te", b"trailers"),
            (b"content-type", b"application/grpc"), *fields,
        )
    )


def request(stream, path=f"{SERVICE}/EmptyCall", end=False, block=None):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block or request_block(path))


class Connection:
    """A connection of which every byte is ours."""

    def __init__(self, address, introduction=PREFACE + settings(), receive_buffer=None, authority=None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(10)
        self.socket.connect((host, int(port)))
        if authority:
            tls = ssl.create_default_context(cafile=authority)
            tls.set_alpn_protocols(["h2"])
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.buffer = b""
        self.sent = 0
        self.ending = None
        self.resets = []
        # The grpc-status of each stream that was answered, by its number, for whoever is `reading_answers`.
        self.answers = {}
        self.decoder = None
        # What may be sent on a stream, or on all of them (0), and what has been, by `send_data`.
        self.initial_window = 65_535
        self.granted = collections.Counter({0: 65_535})
        self.spent = collections.Counter()
        self.send(introduction)

    def send(self, payload):
        """False once the server has ended the connection."""
        try:
            self.socket.sendall(payload)
            self.sent += len(payload)
        except TimeoutError:
            self.ending = self.ending or "blocked"
        except OSError:
            self.ending = self.ending or "closed"
        return self.ending is None

    def send_data(self, stream, payload, end=False):
        """In frames of at most 16 KiB, as far as the server grants a window; false when the stream or the connection
        ended before, or nothing is granted in time."""
        for start in range(0, len(payload), 16_384):
            part = payload[start : start + 16_384]
            while self._window(stream) < len(part):
                if self.receive() is None or stream in self.answers or self.ending:
                    return False
            self.spent.update({0: len(part), stream: len(part)})
            if not self.send(data(stream, part, end and start + 16_384 >= len(payload))):
                return False
        return True

    def _window(self, stream):
        own = self.initial_window + self.granted[stream] - self.spent[stream]
        return min(own, self.granted[0] - self.spent[0])

    def receive(self, timeout=10):
        """The next frame; None when the connection has ended or nothing came in time."""
        deadline = time.monotonic() + timeout
        while True:
            if len(self.buffer) >= 9:
                length = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) >= 9 + length:
                    kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
                    payload, self.buffer = self.buffer[9 : 9 + length], self.buffer[9 + length :]
                    return self._noted(kind, flags, stream, payload)
            remaining = max(deadline - time.monotonic(), 0)
            try:
                if not self._has_pending() and not select.select([self.socket], [], [], remaining)[0]:
                    return None
                received = self.socket.recv(65536)
            except OSError:
                received = b""
            if not received:
                self.ending = self.ending or "closed"
                return None
            self.buffer += received

    def _has_pending(self):
        return isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0

    def _noted(self, kind, flags, stream, payload):
        if kind == GOAWAY:
            code = int.from_bytes(payload[4:8], "big")
            if code:
                self.ending = f"GOAWAY {ERRORS[code]}"
        elif kind == HEADERS and self.decoder:
            status = dict(self.decoder.decode(payload)).get("grpc-status")
            if flags & END_STREAM:
                self.answers[stream] = int(status)
        elif kind == RST_STREAM:
            self.resets.append(ERRORS[int.from_bytes(payload, "big")])
        elif kind == WINDOW_UPDATE:
            self.granted[stream] += int.from_bytes(payload, "big")
        elif kind == SETTINGS and not flags & ACK:
            for start in range(0, len(payload), 6):
                name, value = struct.unpack_from(">HI", payload, start)
                if name == 4:
                    self.initial_window = value
            self.send(frame(SETTINGS, ACK))
        return kind, flags, stream, payload

    def introduced(self):
        """Waits for the server's SETTINGS."""
        while (got := self.receive()) and got[0] != SETTINGS:
            pass
        return self

    def reading_answers(self):
        """From here on the headers of answers are read too."""
        self.decoder = hpack.Decoder()
        return self

    def glance(self):
        """Reads what is there; false once the connection has ended."""
        while self.ending is None and self.receive(timeout=0):
            pass
        return self.ending is None

    def answer(self, streams, timeout=10):
        """Waits until all of these are answered; their statuses become the connection's ending."""
        deadline = time.monotonic() + timeout
        while not self.answers.keys() >= set(streams) and self.ending is None and time.monotonic() < deadline:
            if self.receive(max(deadline - time.monotonic(), 0)) is None:
                break
        codes = sorted({self.answers.get(stream, "none") for stream in streams}, key=str)
        self.ending = self.ending or f"grpc-status {' and '.join(map(str, codes))}"

    def end(self, timeout=10):
        """How the server ended the connection, within the time."""
        deadline = time.monotonic() + timeout
        while self.ending is None and (remaining := deadline - time.monotonic()) > 0:
            self.receive(remaining)
        return self.ending or "still open"

    def close(self):
        self.socket.close()
