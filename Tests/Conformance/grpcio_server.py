"""gRPC's interoperability service on the official grpcio.

Source: grpc/grpc, doc/interop-test-descriptions.md, "Server".
"""

import concurrent.futures
import contextlib
import time

import grpc

import testing


class Servicer:
    """Has neither UnimplementedMethod nor UnimplementedCall, as the cases want it."""

    def EmptyCall(self, request, context):
        echo_metadata(context)
        return request

    def UnaryCall(self, request, context):
        echo_metadata(context)
        end_as_asked(request, context)
        return testing.SimpleResponse(payload=testing.zeros(request.response_size))

    def StreamingInputCall(self, requests, context):
        echo_metadata(context)
        size = sum(len(request.payload.body) for request in requests)
        return testing.StreamingInputCallResponse(aggregated_payload_size=size)

    def StreamingOutputCall(self, request, context):
        echo_metadata(context)
        yield from responses(request, context)

    def FullDuplexCall(self, requests, context):
        echo_metadata(context)
        for request in requests:
            yield from responses(request, context)


def responses(request, context):
    for wanted in request.response_parameters:
        time.sleep(wanted.interval_us / 1e6)
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
    """A running server's address."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as threads:
        server = grpc.server(threads)
        server.add_generic_rpc_handlers([testing.handlers(Servicer())])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(grace=None).wait()
