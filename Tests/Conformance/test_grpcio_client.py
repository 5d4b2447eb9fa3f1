"""The official grpcio client against our server: gRPC's interoperability cases by their names.

Source: grpc/grpc, doc/interop-test-descriptions.md. What grpcio does not tell, whether a message came compressed,
is read from the bytes on the wire.
"""

import os
import queue
import time

import grpc
import pytest

from conftest import PATIENCE_SECONDS
from testing import (
    BoolValue, EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, StreamingInputCallRequest,
    StreamingOutputCallRequest, Stub, zeros,
)
from wiretap import WireTap, taken

SIZES = [(27182, 31415), (8, 9), (1828, 2653), (45904, 58979)]
LARGE = {"response_size": 314159, "payload": zeros(271828)}
INITIAL = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
TRAILING = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"


class Patient:
    """Calls with a deadline, so that what hangs fails."""

    def __init__(self, callable):
        self._callable = callable

    def __call__(self, request, timeout=PATIENCE_SECONDS, **options):
        return self._callable(request, timeout=timeout, **options)

    def __getattr__(self, name):
        return Patient(getattr(self._callable, name))


def patient_stub(channel):
    stub = Stub(channel)
    for name, multicallable in vars(stub).items():
        setattr(stub, name, Patient(multicallable))
    return stub


@pytest.fixture
def stub(channel):
    return patient_stub(channel)


@pytest.fixture
def tapped(address):
    """A stub, and the wire it calls through."""
    wire = WireTap(address)
    with grpc.insecure_channel(wire.address) as channel:
        yield patient_stub(channel), wire
    wire.close()


class Requests:
    """A request stream that stays open until it is closed."""

    def __init__(self, *requests):
        self._queue = queue.SimpleQueue()
        for request in requests:
            self.send(request)

    def send(self, request):
        self._queue.put(request)

    def close(self):
        self._queue.put(None)

    def __iter__(self):
        return iter(self._queue.get, None)


def fails(code, call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is code, caught.value
    return caught.value


def wants(*sizes, **fields):
    return StreamingOutputCallRequest(response_parameters=[ResponseParameters(size=size) for size in sizes], **fields)


def test_empty_unary(stub):
    assert stub.EmptyCall(Empty()) == Empty()


def test_large_unary(stub):
    assert stub.UnaryCall(SimpleRequest(**LARGE)).payload == zeros(314159)


def test_client_compressed_unary(tapped):
    stub, wire = tapped
    expecting, unexpecting = (SimpleRequest(expect_compressed=BoolValue(value=value), **LARGE) for value in (True, False))
    fails(grpc.StatusCode.INVALID_ARGUMENT, lambda: stub.UnaryCall(expecting))
    assert stub.UnaryCall(expecting, compression=grpc.Compression.Gzip).payload == zeros(314159)
    assert stub.UnaryCall(unexpecting).payload == zeros(314159)
    assert taken(wire.requests) == [False, True, False]


def test_server_compressed_unary(tapped):
    stub, wire = tapped
    for compressed in (True, False):
        request = SimpleRequest(response_compressed=BoolValue(value=compressed), **LARGE)
        assert stub.UnaryCall(request).payload == zeros(314159)
        assert taken(wire.responses) == [compressed]


def test_client_compressed_streaming(tapped):
    stub, wire = tapped
    expecting = StreamingInputCallRequest(expect_compressed=BoolValue(value=True), payload=zeros(27182))
    fails(grpc.StatusCode.INVALID_ARGUMENT, lambda: stub.StreamingInputCall(iter([expecting])))
    # grpcio has no switch for one message, but leaves alone what gzip would not make smaller.
    incompressible = Payload(body=os.urandom(45904))
    unexpecting = StreamingInputCallRequest(expect_compressed=BoolValue(value=False), payload=incompressible)
    response = stub.StreamingInputCall(iter([expecting, unexpecting]), compression=grpc.Compression.Gzip)
    assert response.aggregated_payload_size == 73086
    assert taken(wire.requests) == [False, True, False]


def test_server_compressed_streaming(tapped):
    stub, wire = tapped
    wanted = [
        ResponseParameters(size=31415, compressed=BoolValue(value=True)),
        ResponseParameters(size=92653, compressed=BoolValue(value=False)),
    ]
    responses = stub.StreamingOutputCall(StreamingOutputCallRequest(response_parameters=wanted))
    assert [response.payload for response in responses] == [zeros(31415), zeros(92653)]
    assert taken(wire.responses) == [True, False]


def test_client_streaming(stub):
    requests = (StreamingInputCallRequest(payload=zeros(size)) for size, _ in SIZES)
    assert stub.StreamingInputCall(requests).aggregated_payload_size == 74922


def test_server_streaming(stub):
    responses = stub.StreamingOutputCall(wants(*(size for _, size in SIZES)))
    assert [response.payload for response in responses] == [zeros(size) for _, size in SIZES]


def test_ping_pong(stub):
    requests = Requests()
    responses = stub.FullDuplexCall(iter(requests))
    for request_size, response_size in SIZES:
        requests.send(wants(response_size, payload=zeros(request_size)))
        assert next(responses).payload == zeros(response_size)
    requests.close()
    assert list(responses) == []


def test_empty_stream(stub):
    assert list(stub.FullDuplexCall(iter([]))) == []


def test_custom_metadata(stub):
    metadata = [INITIAL, TRAILING]
    _, unary = stub.UnaryCall.with_call(SimpleRequest(**LARGE), metadata=metadata)
    duplex = stub.FullDuplexCall(iter([wants(314159, payload=zeros(271828))]), metadata=metadata)
    assert [response.payload for response in duplex] == [zeros(314159)]
    for call in (unary, duplex):
        assert INITIAL in call.initial_metadata()
        assert TRAILING in call.trailing_metadata()


def test_status_code_and_message(stub):
    ends_with_status(stub, "test status message")


def test_special_status_message(stub):
    ends_with_status(stub, SPECIAL)


def ends_with_status(stub, message):
    status = EchoStatus(code=2, message=message)
    unary = fails(grpc.StatusCode.UNKNOWN, lambda: stub.UnaryCall(SimpleRequest(response_status=status)))
    assert unary.details() == message
    duplex = stub.FullDuplexCall(iter([StreamingOutputCallRequest(response_status=status)]))
    assert fails(grpc.StatusCode.UNKNOWN, lambda: list(duplex)).details() == message


def test_unimplemented_method(channel, stub):
    fails(grpc.StatusCode.UNIMPLEMENTED, lambda: stub.UnimplementedMethod(Empty()))
    unknown = channel.unary_unary("/grpc.testing.TestService/UnimplementedCall")
    fails(grpc.StatusCode.UNIMPLEMENTED, lambda: unknown(b"", timeout=PATIENCE_SECONDS))


def test_unimplemented_service(channel):
    unknown = channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall")
    fails(grpc.StatusCode.UNIMPLEMENTED, lambda: unknown(b"", timeout=PATIENCE_SECONDS))


def test_cancel_after_begin(channel, stub):
    requests = Requests()
    call = stub.StreamingInputCall.future(iter(requests))
    wait_until(lambda: running_handlers(channel) == 1)
    call.cancel()
    assert call.cancelled() and call.code() is grpc.StatusCode.CANCELLED
    handlers_end(channel)
    requests.close()


def test_cancel_after_first_response(channel, stub):
    requests = Requests(wants(31415, payload=zeros(27182)))
    call = stub.FullDuplexCall(iter(requests))
    assert next(call).payload == zeros(31415)
    assert running_handlers(channel) == 1
    call.cancel()
    fails(grpc.StatusCode.CANCELLED, lambda: next(call))
    handlers_end(channel)
    requests.close()


def test_timeout_on_sleeping_server(channel, stub):
    """The handler waits for a second request. A deadline of a millisecond, which is the case's own, may pass before the
    call has left its client: this one is long enough to see the handler run."""
    requests = Requests(StreamingOutputCallRequest(payload=zeros(27182)))
    # Connects, so that the call needs no time for it.
    assert running_handlers(channel) == 0
    call = stub.FullDuplexCall(iter(requests), timeout=5)
    wait_until(lambda: running_handlers(channel) == 1)
    fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: next(call))
    handlers_end(channel)
    requests.close()


def test_timeout_of_a_handler_that_sleeps(channel, stub):
    """The same of a handler that sleeps, which it would for a minute."""
    sleep = ResponseParameters(size=1, interval_us=60_000_000)
    requests = Requests(StreamingOutputCallRequest(response_parameters=[sleep]))
    assert running_handlers(channel) == 0
    call = stub.FullDuplexCall(iter(requests), timeout=5)
    wait_until(lambda: running_handlers(channel) == 1)
    fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: next(call))
    handlers_end(channel)
    requests.close()


def running_handlers(channel):
    """What the server says of itself."""
    return int(channel.unary_unary("/testpeer.Handlers/Count")(b"", timeout=PATIENCE_SECONDS))


def handlers_end(channel):
    """The call is over for its client; its handler is not to go on for nobody."""
    wait_until(lambda: running_handlers(channel) == 0)


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
