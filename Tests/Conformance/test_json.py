"""The Edge's transcoder beside the official protobuf's json_format: messages made at random, of every routed type of the
contract and of one with a field of every kind, go through both and come out the same.
"""

import json
import os
import pathlib
import random
import string
import subprocess

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor as Field

from json_differences import check_written, is_json_object, is_map, to_ours, to_theirs

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEED = 8259
MESSAGES_OF_EACH_TYPE = 40
MESSAGES_OF_EVERY_KIND = 1500


@pytest.fixture(scope="module")
def descriptor_set(tmp_path_factory):
    path = tmp_path_factory.mktemp("json") / "set"
    protos = sorted(str(p.relative_to(ROOT / "proto")) for p in (ROOT / "proto").rglob("*.proto"))
    # The two versions of reflection declare the same names.
    protos = [name for name in protos if "v1alpha" not in name]
    here = pathlib.Path(__file__).parent
    subprocess.run(
        ["protoc", "-I", ROOT / "proto", "-I", here, "--include_imports", f"--descriptor_set_out={path}", "kinds.proto"]
        + protos,
        check=True,
    )
    return path


@pytest.fixture(scope="module")
def pool(descriptor_set):
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set.read_bytes()).file:
        pool.Add(file)
    return pool


class Peer:
    """Our transcoder on a pipe."""

    def __init__(self, descriptor_set):
        command = [pathlib.Path(os.environ["MAINSTREET_BIN"]) / "TranscodePeer", descriptor_set]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, way, descriptor, content):
        self.process.stdin.write(f"{way} {descriptor.full_name} {content.hex()}\n")
        self.process.stdin.flush()
        outcome, *rest = self.process.stdout.readline().rstrip("\n").split(" ")
        return outcome, rest

    def wire(self, descriptor, text):
        """The bytes of a message in JSON, and what was noted on the way; or the code it was refused with."""
        outcome, rest = self.ask("wire", descriptor, text.encode())
        if outcome == "error":
            return None, rest
        codes = [code for code in rest[1].split(",") if code]
        return bytes.fromhex(rest[0]), codes

    def json(self, descriptor, wire):
        outcome, rest = self.ask("json", descriptor, wire)
        assert outcome == "ok", rest
        return bytes.fromhex(rest[0]).decode()


@pytest.fixture(scope="module")
def peer(descriptor_set):
    peer = Peer(descriptor_set)
    yield peer
    peer.process.stdin.close()
    peer.process.wait(10)


# Values that break a rule of their field: they are noted, and written all the same. A number that its type has no room
# for is not written, though it has the code of one: then the messages differ.
RULES = {
    "REQUIRED", "TOO_SHORT", "TOO_LONG", "PATTERN_MISMATCH", "UNKNOWN_VALUE", "INVALID_EMAIL", "INVALID_UUID",
    "INVALID_PHONE_NUMBER", "UNKNOWN_TIME_ZONE", "UNKNOWN_CURRENCY", "TOO_FEW_ITEMS", "TOO_MANY_ITEMS", "OUT_OF_RANGE",
}  # fmt: skip


def routed_types(pool, descriptor_set):
    names = set()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set.read_bytes()).file:
        for service in file.service:
            for method in service.method:
                names |= {method.input_type[1:], method.output_type[1:]}
    return [pool.FindMessageTypeByName(n) for n in sorted(names) if n.startswith("mainstreet.")]


# ── Messages at random ───────────────────────────────────────────────────────────────────────────


class Random(random.Random):
    def message(self, descriptor):
        message = message_factory.GetMessageClass(descriptor)()
        self.fill(message)
        return message

    def fill(self, message):
        descriptor = message.DESCRIPTOR
        if descriptor.full_name == "google.protobuf.Timestamp":
            message.seconds = self.choice([0, -1, -62135596800, 253402300799, self.randint(-62135596800, 253402300799)])
            message.nanos = self.nanos()
            return
        if descriptor.full_name == "google.protobuf.Duration":
            message.seconds = self.choice([0, 1, 315576000000, self.randint(0, 315576000000)])
            message.nanos = self.nanos() if message.seconds < 315576000000 else 0
            if self.random() < 0.5:
                message.seconds, message.nanos = -message.seconds, -message.nanos
            return
        for field in descriptor.fields:
            if self.random() < 0.3:
                continue
            if is_map(field):
                entry = field.message_type.fields_by_name["value"]
                for _ in range(self.randint(0, 3)):
                    values, key = getattr(message, field.name), self.text()
                    if entry.message_type:
                        self.fill(values[key])
                    else:
                        values[key] = self.scalar(entry)
            elif field.is_repeated:
                values = getattr(message, field.name)
                for _ in range(self.randint(0, 3)):
                    self.fill(values.add()) if field.message_type else values.append(self.scalar(field))
            elif field.message_type:
                getattr(message, field.name).SetInParent()
                self.fill(getattr(message, field.name))
            else:
                setattr(message, field.name, self.scalar(field))

    def nanos(self):
        return self.choice([0, 500_000_000, 1, 999_999_999, self.randint(0, 999_999) * 1000])

    def scalar(self, field):
        if is_json_object(field):
            return json.dumps(self.free_form(3), ensure_ascii=self.random() < 0.5)
        if field.enum_type:
            return self.choice(field.enum_type.values).number
        signed = {Field.TYPE_INT32: 31, Field.TYPE_SINT32: 31, Field.TYPE_SFIXED32: 31, Field.TYPE_INT64: 63,
                  Field.TYPE_SINT64: 63, Field.TYPE_SFIXED64: 63}  # fmt: skip
        unsigned = {Field.TYPE_UINT32: 32, Field.TYPE_FIXED32: 32, Field.TYPE_UINT64: 64, Field.TYPE_FIXED64: 64}
        if field.type in signed:
            bits = signed[field.type]
            number = self.getrandbits(self.randint(0, bits))
            edges = [0, 1, -1, (1 << bits) - 1, -(1 << bits), min(1 << 53, (1 << bits) - 1)]
            return self.choice([*edges, number, -number, min((1 << 53) + 1, (1 << bits) - 1)])
        if field.type in unsigned:
            bits = unsigned[field.type]
            return self.choice([0, 1, (1 << bits) - 1, self.getrandbits(self.randint(1, bits))])
        if field.type == Field.TYPE_BOOL:
            return self.random() < 0.5
        if field.type == Field.TYPE_BYTES:
            return self.randbytes(self.randint(0, 20))
        if field.type == Field.TYPE_STRING:
            return self.text()
        return self.double(field.type == Field.TYPE_FLOAT)

    def double(self, is_float):
        # The float below the largest, whose shortest spelling json_format refuses: as a double it is over the limit.
        largest, smallest = (3.4028232635611926e38, 1e-45) if is_float else (1.7976931348623157e308, 5e-324)
        edges = [0.0, -0.0, 0.1, 1.5, 1e15, 1e16, 123456789.0, largest, -largest, smallest]
        edges += [float("inf"), float("-inf"), float("nan"), 2.0**53, 2.0**53 + 2]
        return self.choice([*edges, self.uniform(-1e6, 1e6), self.gauss(0, 1) * 10 ** self.randint(-30, 30)])

    def text(self):
        pieces = [string.printable, "äß€\u2028\u2029\ufeff", "🏪\U0010ffff", "\x01\x1f\x7f\"\\/", "e\u0301\u00e9"]
        return "".join(self.choice(self.choice(pieces)) for _ in range(self.choice([0, 1, 5, 30])))

    def free_form(self, depth):
        def value(depth):
            kinds = [None, True, 0, -1.5, 10**20, self.text(), [], {}]
            if depth == 0:
                return self.choice(kinds)
            nested = [value(depth - 1) for _ in range(self.randint(0, 3))]
            return self.choice([*kinds, nested, self.free_form(depth - 1)])

        return {self.text(): value(depth - 1 if depth else 0) for _ in range(self.randint(0, 3))}

    def respell(self, descriptor, value):
        """The same message in other words: what proto3 JSON lets a client write."""
        if descriptor.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
            return value
        fields = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
        members = list(value.items())
        self.shuffle(members)
        result = {}
        for name, item in members:
            field = fields[name]
            if not is_map(field):
                one = self.respeller(field)
                item = [one(entry) for entry in item] if isinstance(item, list) else one(item)
            result[self.choice([field.name, field.json_name])] = item
        if self.random() < 0.2:
            unset = [f for f in descriptor.fields if f.name not in result and f.json_name not in result]
            result |= {f.json_name: None for f in unset[:2] if not f.containing_oneof}
        return result

    def respeller(self, field):
        if field.message_type:
            return lambda item: self.respell(field.message_type, item)
        if field.cpp_type in (Field.CPPTYPE_INT32, Field.CPPTYPE_INT64, Field.CPPTYPE_UINT32, Field.CPPTYPE_UINT64):
            return lambda item: self.choice([int(item), str(int(item))])
        if field.type == Field.TYPE_BYTES:
            return lambda item: self.choice([item, item.rstrip("="), item.replace("+", "-").replace("/", "_")])
        return lambda item: item


# ── The property ─────────────────────────────────────────────────────────────────────────────────


def same(one, other):
    """By their bytes, since a NaN is not equal to itself; free-form JSON is the same whatever its spaces."""
    return canonical(one).SerializeToString(deterministic=True) == canonical(other).SerializeToString(deterministic=True)


def canonical(message):
    copy = type(message)()
    copy.CopyFrom(message)

    def visit(message):
        for field, value in message.ListFields():
            if is_json_object(field):
                setattr(message, field.name, json.dumps(json.loads(value), sort_keys=True))
            elif field.message_type and not is_map(field):
                for item in value if field.is_repeated else [value]:
                    visit(item)

    visit(copy)
    return copy


def check(peer, source, message):
    descriptor = message.DESCRIPTOR
    # JSON of theirs → bytes of ours → message of theirs
    theirs = json_format.MessageToDict(
        message,
        preserving_proto_field_name=source.random() < 0.5,
        always_print_fields_with_no_presence=source.random() < 0.5,
    )
    for_us = source.respell(descriptor, to_ours(descriptor, drop_empty_free_form(descriptor, theirs)))
    text = json.dumps(for_us, ensure_ascii=source.random() < 0.5, indent=source.choice([None, 1]))
    wire, codes = peer.wire(descriptor, text)
    assert wire is not None and set(codes) <= RULES, (codes, text)
    assert same(type(message).FromString(wire), message), text
    # Bytes of theirs → JSON of ours → message of theirs
    written = peer.json(descriptor, message.SerializeToString())
    value = json.loads(written)
    check_written(message, value)
    parsed = json_format.ParseDict(to_theirs(descriptor, value), type(message)())
    assert same(with_empty_objects(parsed), with_empty_objects(message)), written


def drop_empty_free_form(descriptor, value):
    """Unset, a free-form field is the empty string for json_format, which is no JSON."""
    result = {}
    for name, item in value.items():
        field = next(f for f in descriptor.fields if name in (f.name, f.json_name))
        if is_json_object(field) and item == "":
            continue
        if field.message_type and not is_map(field) and not isinstance(item, str):
            inner = field.message_type
            if isinstance(item, list):
                item = [entry if isinstance(entry, str) else drop_empty_free_form(inner, entry) for entry in item]
            else:
                item = drop_empty_free_form(inner, item)
        result[name] = item
    return result


def with_empty_objects(message):
    """Unset, a free-form field is the empty object in our JSON."""
    copy = type(message)()
    copy.CopyFrom(message)

    def visit(message):
        for field in message.DESCRIPTOR.fields:
            if is_json_object(field):
                if not field.has_presence and getattr(message, field.name) == "":
                    setattr(message, field.name, "{}")
            elif field.message_type and not is_map(field):
                items = getattr(message, field.name)
                for item in items if field.is_repeated else [items] * message.HasField(field.name):
                    visit(item)

    visit(copy)
    return copy


def test_every_kind(peer, pool):
    descriptor = pool.FindMessageTypeByName("mainstreet.testing.Kinds")
    source = Random(SEED)
    for _ in range(MESSAGES_OF_EVERY_KIND):
        check(peer, source, source.message(descriptor))


def test_the_contract(peer, pool, descriptor_set):
    source = Random(SEED)
    types = routed_types(pool, descriptor_set)
    assert len(types) > 50
    for descriptor in types:
        for _ in range(MESSAGES_OF_EACH_TYPE):
            check(peer, source, source.message(descriptor))


@pytest.mark.parametrize(
    "text, code",
    [
        ('{"aString": "\\u0000"}', "NUL_CHARACTER"),
        ('{"color": 9}', "UNKNOWN_ENUM_VALUE"),
        ('{"freeForm": "{}"}', "WRONG_TYPE"),
        ('{"someBytes": "AR"}', "INVALID_BASE64"),
        ('{"inner": []}', "WRONG_TYPE"),
        ("[]", "WRONG_TYPE"),
    ],
)
def test_takes_less_than_json_format(peer, pool, text, code):
    """Where a client's mistake would pass unseen, or a store could not keep what was sent."""
    descriptor = pool.FindMessageTypeByName("mainstreet.testing.Kinds")
    json_format.Parse(text, message_factory.GetMessageClass(descriptor)())
    assert peer.wire(descriptor, text)[1] == [code]


def test_refuses_what_json_format_refuses(peer, pool):
    descriptor = pool.FindMessageTypeByName("mainstreet.testing.Kinds")
    for text in (
        '{"anInt32": 2147483648}', '{"anInt32": 1.5}', '{"aUint32": -1}', '{"aUint64": 18446744073709551616}',
        '{"aFloat": 1e39}', '{"aBool": 1}', '{"aBool": "true"}', '{"aString": 1}', '{"color": "COLOR_GREEN"}',
        '{"bools": [null]}', '{"bools": true}', '{"nope": 1}', '{"left": "", "middle": 1}',
        '{"aString": "a", "aString": "a"}', '{"at": "2023-02-29T00:00:00Z"}', '{"at": "0000-12-31T00:00:00Z"}',
        '{"span": "1"}', '{"span": "315576000001s"}', '{"numbersByName": {"a": 1.5}}', '{"aDouble": "x"}',
    ):  # fmt: skip
        with pytest.raises(json_format.ParseError):
            json_format.Parse(text, message_factory.GetMessageClass(descriptor)())
            pytest.fail(f"json_format takes {text}")
        wire, codes = peer.wire(descriptor, text)
        assert wire is None or codes, text
