"""Calls a running server with the official grpcio and checks what it answers on the wire.

    python3 Tests/Interop/grpcio_wire.py HOST:PORT

Needs only the `grpcio` package and a server with `grpc.health.v1`, which all of ours have. Messages are written
as bytes: an empty HealthCheckRequest is the empty message, SERVING is `08 01`.
"""

import sys
import threading

import grpc

CHECK = "/grpc.health.v1.Health/Check"


def fails(expected, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except grpc.RpcError as error:
        assert error.code() is expected, f"{error.code()} {error.details()}"
        return error
    raise AssertionError(f"succeeded, should be {expected}")


def check(channel):
    call = channel.unary_unary(CHECK)
    assert call(b"") == b"\x08\x01"
    assert call(b"", timeout=60, metadata=[("x-text", "a"), ("x-bytes-bin", b"\x00\xff")]) == b"\x08\x01"


def unknown_method(channel):
    error = fails(grpc.StatusCode.UNIMPLEMENTED, channel.unary_unary("/grpc.health.v1.Health/Nope"), b"")
    assert "/grpc.health.v1.Health/Nope" in error.details()
    stream = channel.stream_stream("/no.Service/Nope")
    fails(grpc.StatusCode.UNIMPLEMENTED, lambda: list(stream(iter([b""]))))


def malformed_message(channel):
    fails(grpc.StatusCode.INTERNAL, channel.unary_unary(CHECK), b"\xff\xff\xff")


def unknown_service(channel):
    fails(grpc.StatusCode.NOT_FOUND, channel.unary_unary(CHECK), b"\x0a\x04nope")


def compressed(channel):
    error = fails(
        grpc.StatusCode.UNIMPLEMENTED, channel.unary_unary(CHECK), b"", compression=grpc.Compression.Gzip
    )
    assert "gzip" in error.details()


def message_too_long(channel):
    fails(grpc.StatusCode.RESOURCE_EXHAUSTED, channel.unary_unary(CHECK), bytes(5 << 20))


def headers_too_long(channel):
    fails(grpc.StatusCode.RESOURCE_EXHAUSTED, channel.unary_unary(CHECK), b"", metadata=[("x", "x" * 9000)])
    check(channel)


def message_count(channel):
    call = channel.stream_unary(CHECK)
    fails(grpc.StatusCode.UNIMPLEMENTED, call, iter([]))
    fails(grpc.StatusCode.UNIMPLEMENTED, call, iter([b"", b""]))


def deadline_passed(channel):
    # Watch never ends by itself; a check can be quicker than any deadline.
    watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
    fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: list(watch(b"", timeout=0.05)))


def concurrent(channel):
    """More calls than a connection may have streams: the rest wait for theirs."""
    futures = [channel.unary_unary(CHECK).future(b"") for _ in range(2000)]
    assert all(future.result() == b"\x08\x01" for future in futures)


def cancelled(channel):
    """A stream that is opened and cancelled leaves the connection as it was."""
    release = threading.Event()

    def requests():
        release.wait(10)
        yield b""

    call = channel.stream_unary(CHECK).future(requests())
    call.cancel()
    release.set()
    assert call.cancelled()
    check(channel)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    cases = [
        check, unknown_method, malformed_message, unknown_service, compressed, message_too_long, headers_too_long,
        message_count, deadline_passed, concurrent, cancelled,
    ]
    with grpc.insecure_channel(sys.argv[1], options=[("grpc.max_metadata_size", 65536)]) as channel:
        for case in cases:
            case(channel)
            print(f"ok {case.__name__}")


main()
