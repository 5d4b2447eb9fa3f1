"""A gRPC server that answers UnaryCall well and does one thing to HTTP/2 that few servers do.

Source: grpc/grpc, doc/http2-interop-test-descriptions.md. On PyPI's h2; one thread a connection.
"""

import contextlib
import socket
import struct
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
from hyperframe.frame import GoAwayFrame

import testing

CHUNK_BYTES = 16384
RESPONSE_HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
TRAILERS = [("grpc-status", "0")]


class Case:
    """One connection; as it is, it behaves. What each case does differently is in its subclass."""

    chunk_bytes = CHUNK_BYTES
    padding = None

    def __init__(self, sock):
        self.sock = sock
        self.calls = 0
        self.http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.requests = {}
        # What each stream still has to send.
        self.waiting = {}

    def run(self):
        self.begin()
        # A client that has what it wants may be gone before we have said all.
        with contextlib.suppress(ConnectionError):
            self.flush()
            while data := self.sock.recv(65536):
                for event in self.http2.receive_data(data):
                    self.handle(event)
                self.send_waiting()
                self.flush()
        self.lost()

    def flush(self):
        self.sock.sendall(self.http2.data_to_send())

    def handle(self, event):
        match event:
            case h2.events.RequestReceived():
                self.calls += 1
                self.requests[event.stream_id] = b""
            case h2.events.DataReceived():
                self.requests[event.stream_id] += event.data
                self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                request = testing.SimpleRequest.FromString(self.requests.pop(event.stream_id)[5:])
                message = testing.SimpleResponse(payload=testing.zeros(request.response_size)).SerializeToString()
                self.answer(event.stream_id, struct.pack(">BI", 0, len(message)) + message)
            case h2.events.StreamReset():
                self.waiting.pop(event.stream_id, None)

    def send_waiting(self):
        """As much as flow control allows."""
        for stream, data in list(self.waiting.items()):
            overhead = 0 if self.padding is None else self.padding + 1
            while data and self.http2.local_flow_control_window(stream) >= self.chunk_bytes + overhead:
                chunk, data = data[: self.chunk_bytes], data[self.chunk_bytes :]
                self.http2.send_data(stream, chunk, pad_length=self.padding)
            self.waiting[stream] = data
            if not data:
                del self.waiting[stream]
                self.finish(stream)

    # What the cases change.

    def begin(self):
        self.http2.initiate_connection()

    def answer(self, stream, message):
        self.http2.send_headers(stream, RESPONSE_HEADERS)
        self.waiting[stream] = message

    def finish(self, stream):
        self.http2.send_headers(stream, TRAILERS, end_stream=True)

    def lost(self):
        pass


class GoAway(Case):
    """Says goodbye on the first call, and answers it."""

    def answer(self, stream, message):
        # By hand: h2 would not let us answer after it.
        self.flush()
        self.sock.sendall(GoAwayFrame(0, last_stream_id=stream, error_code=0).serialize())
        super().answer(stream, message)


class ResetAfterHeader(Case):
    def answer(self, stream, message):
        self.http2.send_headers(stream, RESPONSE_HEADERS)
        self.http2.reset_stream(stream, h2.errors.ErrorCodes.NO_ERROR)


class ResetDuringData(Case):
    def answer(self, stream, message):
        super().answer(stream, message[: len(message) // 2])

    def finish(self, stream):
        self.http2.reset_stream(stream, h2.errors.ErrorCodes.NO_ERROR)


class ResetAfterData(Case):
    def finish(self, stream):
        self.http2.reset_stream(stream, h2.errors.ErrorCodes.NO_ERROR)


class Ping(Case):
    """Pings around all it sends; the client must have acknowledged each when it goes."""

    outstanding = 0

    def ping(self):
        self.outstanding += 1
        self.http2.ping(self.outstanding.to_bytes(8))

    def handle(self, event):
        if isinstance(event, h2.events.PingAckReceived):
            self.outstanding -= 1
        super().handle(event)

    def answer(self, stream, message):
        self.ping()
        super().answer(stream, message)
        self.ping()

    def finish(self, stream):
        self.ping()
        super().finish(stream)

    def lost(self):
        assert self.outstanding == 0, f"{self.outstanding} pings were not acknowledged"


class MaxStreams(Case):
    """Allows one stream; h2 fails when a client that acknowledged that opens another."""

    def begin(self):
        super().begin()
        self.http2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1})


class DataFramePadding(Case):
    """Five bytes a frame and 255 of padding: windows that do not count those run dry."""

    chunk_bytes = 5
    padding = 255


CASES = {
    "goaway": GoAway,
    "rst_after_header": ResetAfterHeader,
    "rst_during_data": ResetDuringData,
    "rst_after_data": ResetAfterData,
    "ping": Ping,
    "max_streams": MaxStreams,
    "data_frame_padding": DataFramePadding,
}


class Server:
    def __init__(self, case):
        self._case = CASES[case]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = []
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self.connections = []
        self.failures = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections.append(self._case(sock))
                thread = threading.Thread(target=self._serve, args=(self.connections[-1],), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection):
        with connection.sock:
            try:
                connection.run()
            except Exception as error:  # the test fails with it, in its own thread
                self.failures.append(error)

    def close(self, patience):
        """Returns when the last connection is lost."""
        self._listener.close()
        for thread in self._threads:
            thread.join(patience)
            assert not thread.is_alive(), "a connection stays open"
