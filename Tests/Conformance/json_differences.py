"""How our JSON differs from proto3's, on purpose (CONTRACT.md, "JSON"). All of it is in this file: what one side writes
becomes what the other reads.

* Enums are lower_snake without the enum's prefix; json_format wants the name that was declared.
* Strings with the option json_object are objects; json_format knows them as strings of such.
* 64-bit integers are numbers up to 2^53, scalars without presence and lists are written when they are zero or empty,
  timestamps have as many digits as they need: json_format takes all that as it is, and `check_written` that it is so.
"""

import json

from google.protobuf.descriptor import FieldDescriptor

EXACT = 1 << 53
# Field 50101 of the options, true. By its bytes: the options' own types are in no pool here.
JSON_OBJECT = b"\xa8\xbb\x18\x01"
INTEGERS_64 = {getattr(FieldDescriptor, f"TYPE_{name}") for name in ("INT64", "UINT64", "SINT64", "FIXED64", "SFIXED64")}


def is_json_object(field):
    return JSON_OBJECT in field.GetOptions().SerializeToString()


def is_map(field):
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def to_ours(descriptor, value):
    """What json_format made of a message, as our clients write it."""
    return walk(descriptor, value, lambda _, name: name, json.loads)


def to_theirs(descriptor, value):
    """What we wrote of a message, as json_format reads it."""

    def declared(enum, name):
        if isinstance(name, int):
            return name
        matches = [v.name for v in enum.values if v.name.lower() in (name, f"{prefix(enum)}{name}")]
        assert len(matches) == 1, (enum.full_name, name)
        return matches[0]

    return walk(descriptor, value, declared, lambda text: json.dumps(text, sort_keys=True))


def prefix(enum):
    snake = "".join(("_" if c.isupper() and i else "") + c.lower() for i, c in enumerate(enum.name))
    return snake + "_"


def walk(descriptor, value, enum, free_form):
    if descriptor.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        return value
    fields = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}

    def one(field, item):
        if field.message_type:
            return walk(field.message_type, item, enum, free_form)
        if field.enum_type:
            return enum(field.enum_type, item)
        return free_form(item) if is_json_object(field) else item

    result = {}
    for name, item in value.items():
        field = fields[name]
        if is_map(field):
            values = field.message_type.fields_by_name["value"]
            result[name] = {key: one(values, entry) for key, entry in item.items()}
        else:
            result[name] = [one(field, entry) for entry in item] if isinstance(item, list) else one(field, item)
    return result


def check_written(message, value):
    """That our JSON of a message is the one the contract promises, member by member."""
    descriptor = message.DESCRIPTOR
    if descriptor.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        return
    expected = [f.json_name for f in descriptor.fields if not f.has_presence or message.HasField(f.name)]
    assert list(value) == expected, "declared order, zeros and empty lists written, the unset left out"
    for field in descriptor.fields:
        if field.json_name not in value:
            continue
        items, written = getattr(message, field.name), value[field.json_name]
        if is_map(field):
            entry = field.message_type.fields_by_name["value"]
            pairs = [(entry, items[key], written[key]) for key in items]
            assert len(items) == len(written)
        elif isinstance(written, list):
            pairs = [(field, *pair) for pair in zip(items, written, strict=True)]
        else:
            pairs = [(field, items, written)]
        for kind, item, text in pairs:
            if kind.message_type:
                check_written(item, text)
            elif kind.type in INTEGERS_64:
                assert text == (item if abs(item) <= EXACT else str(item))
            elif kind.enum_type:
                assert text == text.lower() and not text.startswith(prefix(kind.enum_type))
