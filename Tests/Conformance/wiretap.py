"""A wire between a client and a server, on which the flag of each gRPC message can be read as it passes."""

import contextlib
import queue
import socket
import struct
import threading

from hyperframe.frame import DataFrame, Frame

PREFACE_BYTES = 24


class WireTap:
    def __init__(self, target):
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        # Whether each message was compressed, in the order they came.
        self.requests = queue.SimpleQueue()
        self.responses = queue.SimpleQueue()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for source, sink, reader in [
                    (client, server, Reader(PREFACE_BYTES, self.requests)),
                    (server, client, Reader(0, self.responses)),
                ]:
                    threading.Thread(target=self._carry, args=(source, sink, reader), daemon=True).start()

    @staticmethod
    def _carry(source, sink, reader):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                # First, so that who gets the message finds its flag noted.
                reader.feed(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


class Reader:
    """Finds the messages in one direction of a connection."""

    def __init__(self, skip, flags):
        self._skip = skip
        self._flags = flags
        self._buffer = b""
        self._streams = {}

    def feed(self, data):
        self._buffer += data
        if self._skip:
            if len(self._buffer) < self._skip:
                return
            self._buffer = self._buffer[self._skip :]
            self._skip = 0
        while len(self._buffer) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self._buffer[:9]))
            if len(self._buffer) < 9 + length:
                return
            if isinstance(frame, DataFrame):
                frame.parse_body(memoryview(self._buffer[9 : 9 + length]))
                self._messages(frame.stream_id, frame.data)
            self._buffer = self._buffer[9 + length :]

    def _messages(self, stream, data):
        data = self._streams.pop(stream, b"") + data
        while len(data) >= 5:
            flag, length = struct.unpack(">BI", data[:5])
            if len(data) < 5 + length:
                break
            self._flags.put(flag == 1)
            data = data[5 + length :]
        self._streams[stream] = data


def taken(flags):
    """The flags noted so far."""
    found = []
    with contextlib.suppress(queue.Empty):
        while True:
            found.append(flags.get_nowait())
    return found
