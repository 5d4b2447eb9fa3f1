import NIOCore
import Schema

@testable import Edge

/// A message with a field of every kind, described by hand: the real contract does not use them all.
///
/// ```proto
/// message Sample {
///   bool flag = 1; int32 small = 2; int64 big = 3; uint32 usmall = 4; uint64 ubig = 5; sint32 zig = 6;
///   sint64 zag = 7; fixed32 f32 = 8; fixed64 f64 = 9; sfixed32 s32 = 10; sfixed64 s64 = 11; float single = 12;
///   double real = 13; string text = 14; bytes blob = 15; Color color = 16; Inner inner = 17;
///   Timestamp at = 18; Duration span = 19; repeated int32 numbers = 20; repeated string words = 21;
///   repeated Inner items = 22; map<string, int32> counts = 23; optional int32 maybe = 24;
///   oneof choice { string left = 25; Inner right = 26; } string long_name = 27; repeated Color colors = 28;
///   string free = 29 [json_object]; map<string, Inner> table = 100;
/// }
/// message Inner { string name = 1; int32 rank = 2; repeated Inner2 deep = 3; }
/// message Strict { string id = 1 [uuid]; optional int32 day = 2 [required, 0...6]; string title = 3 [required, max_len 5];
///   repeated string tags = 4 [min_items 1, max_items 2, items max_len 3]; }
/// message Annotated { string notes = 1 [json_object, max_len 14]; }
/// ```
enum SampleSchema {
  static let set: DescriptorSet = {
    do { return try DescriptorSet(serialized: bytes) } catch { preconditionFailure("\(error)") }
  }()

  static func table(_ name: String) -> MessageTable {
    var compiler = TableCompiler(set)
    do { return try compiler.message(name) } catch { preconditionFailure("\(error)") }
  }

  static let bytes: [UInt8] = {
    let timestamp = file("google/protobuf/timestamp.proto", package: "google.protobuf") {
      [message("Timestamp", [field("seconds", 1, .int64), field("nanos", 2, .int32)])]
    }
    let duration = file("google/protobuf/duration.proto", package: "google.protobuf") {
      [message("Duration", [field("seconds", 1, .int64), field("nanos", 2, .int32)])]
    }
    let sample = file("sample.proto", package: "t", enums: [color]) {
      [sampleMessage, inner, inner2, strict, annotated]
    }
    return [timestamp, duration, sample].flatMap { delimited(1, $0) }
  }()

  enum FieldType: Int {
    case double = 1, float, int64, uint64, int32, fixed64, fixed32, bool, string
    case message = 11, bytes, uint32, enumeration, sfixed32, sfixed64, sint32, sint64
  }

  private static let sampleMessage: [UInt8] = {
    var fields = [
      field("flag", 1, .bool), field("small", 2, .int32), field("big", 3, .int64),
      field("usmall", 4, .uint32),
      field("ubig", 5, .uint64), field("zig", 6, .sint32), field("zag", 7, .sint64),
      field("f32", 8, .fixed32),
      field("f64", 9, .fixed64), field("s32", 10, .sfixed32), field("s64", 11, .sfixed64),
      field("single", 12, .float), field("real", 13, .double), field("text", 14, .string),
      field("blob", 15, .bytes), field("color", 16, .enumeration, type: ".t.Color"),
    ]
    fields += [
      field("inner", 17, .message, type: ".t.Inner"),
      field("at", 18, .message, type: ".google.protobuf.Timestamp"),
      field("span", 19, .message, type: ".google.protobuf.Duration"),
      field("numbers", 20, .int32, repeated: true), field("words", 21, .string, repeated: true),
      field("items", 22, .message, type: ".t.Inner", repeated: true),
      field("counts", 23, .message, type: ".t.Sample.CountsEntry", repeated: true),
      field("maybe", 24, .int32, oneof: 1, isOptional: true), field("left", 25, .string, oneof: 0),
      field("right", 26, .message, type: ".t.Inner", oneof: 0), field("long_name", 27, .string),
      field("colors", 28, .enumeration, type: ".t.Color", repeated: true),
      field("free", 29, .string, isJSONObject: true),
      field("table", 100, .message, type: ".t.Sample.TableEntry", repeated: true),
    ]
    let counts = message(
      "CountsEntry", [field("key", 1, .string), field("value", 2, .int32)], isMapEntry: true)
    let table = message(
      "TableEntry", [field("key", 1, .string), field("value", 2, .message, type: ".t.Inner")],
      isMapEntry: true)
    return message("Sample", fields, nested: [counts, table], oneofs: ["choice", "_maybe"])
  }()

  private static let inner = message(
    "Inner",
    [
      field("name", 1, .string), field("rank", 2, .int32),
      field("deep", 3, .message, type: ".t.Inner2", repeated: true),
    ])
  private static let inner2 = message("Inner2", [field("text", 1, .string)])

  /// The options' bytes are what protoc writes for `buf.validate.field`.
  private static let strict = message(
    "Strict",
    [
      field("id", 1, .string, rules: delimited(14, varint(22, 1))),
      field(
        "day", 2, .int32, oneof: 0, isOptional: true,
        rules: varint(25, 1) + delimited(3, varint(5, 0) + varint(3, 6))),
      field("title", 3, .string, rules: varint(25, 1) + delimited(14, varint(3, 5))),
      field(
        "tags", 4, .string, repeated: true,
        rules: delimited(18, varint(1, 1) + varint(2, 2) + delimited(4, delimited(14, varint(3, 3))))),
    ], oneofs: ["_day"])

  private static let annotated = message(
    "Annotated",
    [field("notes", 1, .string, rules: delimited(14, varint(3, 14)), isJSONObject: true)])

  private static let color: [UInt8] =
    string(1, "Color")
    + ["COLOR_UNSPECIFIED", "COLOR_RED", "COLOR_DARK_BLUE"].enumerated().flatMap {
      delimited(2, string(1, $1) + varint(2, $0))
    }

  // MARK: Descriptor protos

  private static func file(
    _ name: String, package: String, enums: [[UInt8]] = [], _ messages: () -> [[UInt8]]
  ) -> [UInt8] {
    string(1, name) + string(2, package) + messages().flatMap { delimited(4, $0) }
      + enums.flatMap { delimited(5, $0) } + string(12, "proto3")
  }

  private static func message(
    _ name: String, _ fields: [[UInt8]], nested: [[UInt8]] = [], oneofs: [String] = [],
    isMapEntry: Bool = false
  ) -> [UInt8] {
    string(1, name) + fields.flatMap { delimited(2, $0) } + nested.flatMap { delimited(3, $0) }
      + oneofs.flatMap { delimited(8, string(1, $0)) } + (isMapEntry ? delimited(7, varint(7, 1)) : [])
  }

  private static func field(
    _ name: String, _ number: Int, _ kind: FieldType, type: String? = nil, repeated: Bool = false,
    oneof: Int? = nil, isOptional: Bool = false, rules: [UInt8]? = nil, isJSONObject: Bool = false
  ) -> [UInt8] {
    let words = name.split(separator: "_")
    let jsonName = words[0] + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    return string(1, name) + varint(3, number) + varint(4, repeated ? 3 : 1) + varint(5, kind.rawValue)
      + (type.map { string(6, $0) } ?? [])
      + delimited(8, (rules.map { delimited(1159, $0) } ?? []) + (isJSONObject ? varint(50101, 1) : []))
      + (oneof.map { varint(9, $0) } ?? []) + string(10, String(jsonName)) + (isOptional ? varint(17, 1) : [])
  }

  static func varint(_ number: Int, _ value: Int) -> [UInt8] {
    var out = ByteBuffer()
    out.writeTag(number, .varint)
    out.writeVarint(UInt64(bitPattern: Int64(value)))
    return Array(buffer: out)
  }

  static func string(_ number: Int, _ text: String) -> [UInt8] { delimited(number, Array(text.utf8)) }

  static func delimited(_ number: Int, _ bytes: [UInt8]) -> [UInt8] {
    var out = ByteBuffer()
    out.writeTag(number, .length)
    out.writeDelimited(bytes)
    return Array(buffer: out)
  }
}
