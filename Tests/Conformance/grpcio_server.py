"""gRPC's interoperability service on the official grpcio.

Source: grpc/grpc, doc/interop-test-descriptions.md, "Server".
"""

import concurrent.futures
import contextlib
import time

import grpc

import testing
from wiretap import WireTap


class Servicer:
    """Has neither UnimplementedMethod nor UnimplementedCall, as the cases want it."""

    def __init__(self, wire):
        self._wire = wire

    def _expect_compressed(self, request, context):
        """grpcio does not tell how a message came; the wire does. Messages must be taken one after the other."""
        compressed = self._wire.requests.get()
        if request.HasField("expect_compressed") and request.expect_compressed.value != compressed:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"compressed: {compressed}")

    def EmptyCall(self, request, context):
        echo_metadata(context)
        return request

    def UnaryCall(self, request, context):
        self._expect_compressed(request, context)
        echo_metadata(context)
        end_as_asked(request, context)
        if request.response_compressed.value:
            context.set_compression(grpc.Compression.Gzip)
        return testing.SimpleResponse(payload=testing.zeros(request.response_size))

    def StreamingInputCall(self, requests, context):
        echo_metadata(context)
        size = 0
        for request in requests:
            self._expect_compressed(request, context)
            size += len(request.payload.body)
        return testing.StreamingInputCallResponse(aggregated_payload_size=size)

    def StreamingOutputCall(self, request, context):
        echo_metadata(context)
        yield from responses(request, context)

    def FullDuplexCall(self, requests, context):
        echo_metadata(context)
        for request in requests:
            yield from responses(request, context)


def responses(request, context):
    if any(wanted.compressed.value for wanted in request.response_parameters):
        context.set_compression(grpc.Compression.Gzip)
    for wanted in request.response_parameters:
        time.sleep(wanted.interval_us / 1e6)
        if not wanted.compressed.value:
            context.disable_next_message_compression()
        yield testing.StreamingOutputCallResponse(payload=testing.zeros(wanted.size))
    end_as_asked(request, context)


def end_as_asked(request, context):
    status = request.response_status
    if status.code:
        code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
        context.abort(code, status.message)


def echo_metadata(context):
    metadata = dict(context.invocation_metadata())
    if (text := metadata.get("x-grpc-test-echo-initial")) is not None:
        context.send_initial_metadata([("x-grpc-test-echo-initial", text)])
    if (data := metadata.get("x-grpc-test-echo-trailing-bin")) is not None:
        context.set_trailing_metadata([("x-grpc-test-echo-trailing-bin", data)])


@contextlib.contextmanager
def serving():
    """The address of a running server, for one client at a time."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as threads:
        server = grpc.server(threads)
        port = server.add_insecure_port("127.0.0.1:0")
        wire = WireTap(f"127.0.0.1:{port}")
        server.add_generic_rpc_handlers([testing.handlers(Servicer(wire))])
        server.start()
        try:
            yield wire.address
        finally:
            wire.close()
            server.stop(grace=None).wait()
