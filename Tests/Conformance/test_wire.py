"""What a gRPC client in another language may send, well-formed or not, and what must become of it.

The official grpcio calls `grpc.health.v1`, which all of our servers have. Messages are written as bytes: an empty
HealthCheckRequest is the empty message, SERVING is `08 01`.
"""

import threading

import grpc
import pytest

CHECK = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"


def fails(expected, call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    assert caught.value.code() is expected, f"{caught.value.code()} {caught.value.details()}"
    return caught.value


def test_check(channel):
    call = channel.unary_unary(CHECK)
    assert call(b"") == SERVING
    assert call(b"", timeout=60, metadata=[("x-text", "a"), ("x-bytes-bin", b"\x00\xff")]) == SERVING


def test_unknown_method(channel):
    error = fails(grpc.StatusCode.UNIMPLEMENTED, channel.unary_unary("/grpc.health.v1.Health/Nope"), b"")
    assert "/grpc.health.v1.Health/Nope" in error.details()
    stream = channel.stream_stream("/no.Service/Nope")
    fails(grpc.StatusCode.UNIMPLEMENTED, lambda: list(stream(iter([b""]))))


def test_malformed_message(channel):
    fails(grpc.StatusCode.INTERNAL, channel.unary_unary(CHECK), b"\xff\xff\xff")


def test_unknown_service(channel):
    fails(grpc.StatusCode.NOT_FOUND, channel.unary_unary(CHECK), b"\x0a\x04nope")


def test_unknown_compression(channel):
    call = channel.unary_unary(CHECK)
    error = fails(grpc.StatusCode.UNIMPLEMENTED, call, b"", compression=grpc.Compression.Deflate)
    assert "deflate" in error.details()


def test_message_too_long(channel):
    fails(grpc.StatusCode.RESOURCE_EXHAUSTED, channel.unary_unary(CHECK), bytes(5 << 20))


def test_headers_too_long(channel):
    fails(grpc.StatusCode.RESOURCE_EXHAUSTED, channel.unary_unary(CHECK), b"", metadata=[("x", "x" * 9000)])
    test_check(channel)


def test_message_count(channel):
    call = channel.stream_unary(CHECK)
    fails(grpc.StatusCode.UNIMPLEMENTED, call, iter([]))
    fails(grpc.StatusCode.UNIMPLEMENTED, call, iter([b"", b""]))


def test_deadline_passed(channel):
    # Watch never ends by itself; a check can be quicker than any deadline.
    watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
    fails(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: list(watch(b"", timeout=0.05)))


def test_concurrent(channel):
    """More calls than a connection may have streams: the rest wait for theirs."""
    futures = [channel.unary_unary(CHECK).future(b"") for _ in range(2000)]
    assert all(future.result() == SERVING for future in futures)


def test_cancelled(channel):
    """A stream that is opened and cancelled leaves the connection as it was."""
    release = threading.Event()

    def requests():
        release.wait(10)
        yield b""

    call = channel.stream_unary(CHECK).future(requests())
    call.cancel()
    release.set()
    assert call.cancelled()
    test_check(channel)
