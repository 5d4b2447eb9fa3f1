"""Inputs to begin with: `python seeds.py frames|messages|unpack|json DIRECTORY`.

Each is something a peer may well send. Random bytes would seldom get past the first check; what the fuzzer makes of
these does. They are made when they are wanted, so that those of `unpack` and `json` follow the contract.
"""

import gzip
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

import hpack
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from hyperframe.frame import (
    ContinuationFrame, DataFrame, GoAwayFrame, HeadersFrame, PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame,
    WindowUpdateFrame,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]


def length_prefixed(message, flag=0):
    return struct.pack(">BI", flag, len(message)) + message


# ── frames ───────────────────────────────────────────────────────────────────────────────────────


def frames():
    """The first byte: bit 0, we are the client; bit 1, the peer has introduced itself; the rest, bytes at a time."""
    for name, exchange in requests().items():
        yield f"request-{name}", b"\x02" + exchange
        yield f"request-{name}-in-pieces", bytes([2 | 7 << 2]) + exchange
    for name, exchange in responses().items():
        yield f"response-{name}", b"\x03" + exchange
        yield f"response-{name}-in-pieces", bytes([3 | 7 << 2]) + exchange


def headers(encoder, stream, fields, *flags):
    return HeadersFrame(stream, encoder.encode(fields), flags=["END_HEADERS", *flags]).serialize()


def data(stream, content, *flags, **options):
    return DataFrame(stream, content, flags=flags, **options).serialize()


def request(encoder, path, *extra):
    start = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a")]
    return start + [("te", "trailers"), ("content-type", "application/grpc"), *extra]


def requests():
    def call(path, *bodies, extra=()):
        encoder = hpack.Encoder()
        sent = headers(encoder, 1, request(encoder, path, *extra))
        for body in bodies[:-1]:
            sent += data(1, body)
        return sent + data(1, bodies[-1], "END_STREAM")

    small = length_prefixed(b"message")
    compressed = length_prefixed(gzip.compress(bytes(3000)), flag=1)
    encoder = hpack.Encoder()
    split = encoder.encode(request(encoder, "/s/u", ("x-long", "a" * 300)))
    many = hpack.Encoder()
    return {
        "unary": call("/s/u", small),
        "refused": call("/s/r", small),
        "stream": call("/s/e", small + small[:3], small[3:] + small),
        "waiting": call("/s/w", small) + RstStreamFrame(1, error_code=8).serialize(),
        "unknown": call("/s/n", small),
        "gzip": call("/s/u", compressed, extra=[("grpc-encoding", "gzip"), ("grpc-accept-encoding", "gzip")]),
        "metadata": call("/s/u", small, extra=[("grpc-timeout", "5S"), ("a-bin", "AAEC,Aw"), ("user-agent", "f")]),
        "no-grpc": headers(hpack.Encoder(), 1, [(":method", "GET"), (":scheme", "http"), (":path", "/"),
                                                (":authority", "a")], "END_STREAM"),
        "padded": headers(hpack.Encoder(), 1, request(None, "/s/u"))
        + data(1, small, "PADDED", "END_STREAM", pad_length=40),
        "continued": HeadersFrame(1, split[:9]).serialize()
        + ContinuationFrame(1, split[9:], flags=["END_HEADERS"]).serialize() + data(1, small, "END_STREAM"),
        "trailers": headers(encoder := hpack.Encoder(), 1, request(encoder, "/s/e")) + data(1, small)
        + headers(encoder, 1, [("x", "y")], "END_STREAM"),
        "many": b"".join(
            headers(many, stream, request(many, "/s/u")) + data(stream, small, "END_STREAM")
            for stream in range(1, 9, 2)),
        **control(),
    }


def responses():
    ok = [(":status", "200"), ("content-type", "application/grpc")]
    done = [("grpc-status", "0")]
    refused = [("grpc-status", "3"), ("grpc-message", "a%20b"), ("grpc-status-details-bin", "CAMSA2ZvbxoA")]
    message = length_prefixed(b"message")
    compressed = length_prefixed(gzip.compress(bytes(3000)), flag=1)

    def exchange(*lists):
        encoder = hpack.Encoder()
        sent = b""
        for stream, (first, body, last) in zip((1, 3, 5), lists):
            sent += headers(encoder, stream, first) + data(stream, body)
            sent += headers(encoder, stream, last, "END_STREAM")
        return sent

    return {
        "ok": exchange((ok, message, done), (ok, message, done), (ok, message, done)),
        "gzip": exchange((ok + [("grpc-encoding", "gzip")], compressed, done)),
        "error": exchange((ok, b"", refused), (ok, message[:3], refused)),
        "trailers-only": headers(hpack.Encoder(), 1, ok + refused, "END_STREAM"),
        "http": headers(hpack.Encoder(), 1, [(":status", "503")], "END_STREAM"),
        "early-hints": headers(encoder := hpack.Encoder(), 1, [(":status", "103")])
        + headers(encoder, 1, ok) + data(1, message) + headers(encoder, 1, done, "END_STREAM"),
        "reset": headers(hpack.Encoder(), 1, ok) + RstStreamFrame(1, error_code=7).serialize(),
        "cut": headers(hpack.Encoder(), 1, ok) + data(1, message, "END_STREAM"),
        **control(),
    }


def control():
    return {
        "settings": SettingsFrame(0, {3: 1, 4: 10, 1: 0, 6: 100}).serialize() + SettingsFrame(0, flags=["ACK"]).serialize(),
        "ping": PingFrame(0, b"12345678").serialize() + PingFrame(0, b"draining", flags=["ACK"]).serialize(),
        "windows": WindowUpdateFrame(0, 1000).serialize() + WindowUpdateFrame(1, 1 << 30).serialize(),
        "goaway": GoAwayFrame(0, last_stream_id=1, error_code=0, additional_data=b"bye").serialize(),
        "priority": PriorityFrame(1, depends_on=3, stream_weight=9).serialize(),
        "unknown": b"\x00\x00\x02\x99\x00\x00\x00\x00\x01hi",
    }


# ── messages ─────────────────────────────────────────────────────────────────────────────────────


def messages():
    """The first byte is which part reads it; see Messages.swift."""
    small = length_prefixed(b"message")
    compressed = length_prefixed(gzip.compress(bytes(100_000)), flag=1)
    yield "identity", b"\x00\x04" + small + length_prefixed(b"") + small
    yield "gzip", b"\x01\x09" + length_prefixed(gzip.compress(b"message"), flag=1) + small
    yield "bomb", b"\x01\xff" + compressed
    yield "compress", b"\x02" + bytes(100) + b"text" * 10
    fields = [
        ":status:200", ":path:/s/m", ":method:POST", "content-type:application/grpc+proto", "grpc-timeout:10S",
        "grpc-encoding:gzip", "grpc-accept-encoding:identity, gzip", "grpc-status:5", "grpc-message:a%20b%zz",
        "grpc-status-details-bin:CAMSA2ZvbxoA", "x-bytes-bin:AAEC, Aw==", "x-text:a", "te:trailers",
    ]
    yield "fields", b"\x03" + "\0".join(fields).encode()
    for timeout in ("99999999H", "1n", "0S"):
        yield f"timeout-{timeout}", b"\x04" + timeout.encode()
    yield "percent", b"\x05a%20b%zz%E2%98%BA%F0"
    yield "base64", b"\x06AAECAw=="
    yield "details", b"\x07" + details()


def details():
    def field(number, content):
        return bytes([number << 3 | 2, len(content)]) + content

    def detail(name, content):
        return field(3, field(1, b"type.googleapis.com/google.rpc." + name) + field(2, content))

    entry = field(1, b"key") + field(2, b"value")
    violation = field(1, b"name") + field(2, b"too long") + field(3, b"TOO_LONG")
    return (
        b"\x08\x03" + field(2, b"no")
        + detail(b"ErrorInfo", field(1, b"REASON") + field(2, b"mainstreet") + field(3, entry))
        + detail(b"BadRequest", field(1, violation))
        + detail(b"RetryInfo", field(1, b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x10\xff\x93\xeb\xdc\x03"))
    )


# ── unpack ───────────────────────────────────────────────────────────────────────────────────────


def unpack():
    """The first byte is the type, by its place in the generated list."""
    for index, (name, descriptor) in enumerate(listed_types()):
        yield f"{name}-empty", bytes([index])
        yield f"{name}-full", bytes([index]) + full(descriptor).SerializeToString()


def listed_types():
    names = re.findall(r"^  ([\w.]+)\.self,$", (ROOT / "Sources/MainstreetAPI/Generated/messages.swift").read_text(), re.M)
    types = dict(message_types())
    return [(name, types[name]) for name in names]


# ── json ─────────────────────────────────────────────────────────────────────────────────────────


def json():
    """The first byte is the direction, the second the type, as in `unpack`."""
    types = listed_types()
    for index, (name, descriptor) in enumerate(types):
        message = full(descriptor)
        yield f"{name}-json", bytes([0, index]) + json_format.MessageToJson(message, indent=None).encode()
        yield f"{name}-wire", bytes([1, index]) + message.SerializeToString()
    settings = [name for name, _ in types].index("UpdateTenantRequest")
    for index, case in enumerate(cases()):
        if len(case) < 1000:
            yield f"case-{index}", bytes([0, settings]) + b'{"settings":{"x":' + case + b"}}"


def cases():
    """The texts of JSONCases.swift, in its notation."""
    tables = (ROOT / "Tests/EdgeTests/Transcoding/JSONCases.swift").read_text().split('#"""\n')[1:]
    for line in "".join(table.split('\n    """#')[0] + "\n" for table in tables).splitlines():
        line = line.removeprefix("    ")
        if not line.startswith("# "):
            pieces = re.split("«(.*?)»", line)
            yield b"".join(piece.encode() if place % 2 == 0 else repeated(piece) for place, piece in enumerate(pieces))


def repeated(piece):
    digits, _, count = piece.partition("*")
    return bytes.fromhex(digits) * int(count or 1)


def message_types():
    """Each by the name it has in Swift, which is that of the proto without its package."""
    protos = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto"))
    with tempfile.NamedTemporaryFile() as output:
        command = ["protoc", "-I", ROOT / "proto", "--include_imports", f"--descriptor_set_out={output.name}", *protos]
        subprocess.run(command, check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(output.read()).file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file)

    def visit(file, messages, prefix):
        for message in messages:
            name = f"{prefix}{message.name}"
            yield name, pool.FindMessageTypeByName(f"{file.package}.{name}")
            yield from visit(file, message.nested_type, f"{name}.")

    for file in files:
        yield from visit(file, file.message_type, "")


def full(descriptor):
    """A message with something in every field."""
    message = message_factory.GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED:
            values = getattr(message, field.name)
            if field.message_type and field.message_type.GetOptions().map_entry:
                key, entry = (field.message_type.fields_by_name[name] for name in ("key", "value"))
                if entry.message_type:
                    values[value(key)].MergeFrom(full(entry.message_type))
                else:
                    values[value(key)] = value(entry)
            elif field.message_type:
                values.add().MergeFrom(full(field.message_type))
            else:
                values.extend([value(field), value(field)])
        elif field.message_type:
            getattr(message, field.name).MergeFrom(full(field.message_type))
            getattr(message, field.name).SetInParent()
        else:
            setattr(message, field.name, value(field))
    return message


def value(field):
    kinds = {field.CPPTYPE_STRING: "täxt", field.CPPTYPE_BOOL: True, field.CPPTYPE_DOUBLE: 1.5, field.CPPTYPE_FLOAT: 1.5}
    if field.type == field.TYPE_BYTES:
        return b"\x00\xff"
    return kinds.get(field.cpp_type, 1)


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("frames", "messages", "unpack", "json"):
        sys.exit(__doc__)
    directory = pathlib.Path(sys.argv[2])
    for name, content in globals()[sys.argv[1]]():
        (directory / name).write_bytes(content)


main()
