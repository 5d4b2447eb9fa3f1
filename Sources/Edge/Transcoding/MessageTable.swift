import Schema

/// A message type as the transcoder wants it: flat, immutable, names already spelled as JSON.
///
/// Compiled once at start from the descriptor set. The tables form a tree (our schemas allow no recursive
/// messages), so plain references suffice.
final class MessageTable: Sendable {
  /// Full protobuf name.
  let name: String
  /// In declaration order, which is the order they are written in JSON.
  let fields: [FieldTable]
  /// Fields that must be set, by index.
  let required: FieldSet

  private let names: NameIndex
  /// Index in `fields` by field number, −1 for none; numbers past the end are searched.
  private let numbers: [Int16]

  init(name: String, fields: [FieldTable]) {
    self.name = name
    self.fields = fields
    self.required = FieldSet(fields.indices.filter { fields[$0].isRequired })
    var entries: [(name: String, index: Int)] = []
    for (index, field) in fields.enumerated() {
      entries.append((field.jsonName, index))
      if field.name != field.jsonName { entries.append((field.name, index)) }
    }
    self.names = NameIndex(entries)
    var numbers = [Int16](repeating: -1, count: 64)
    for (index, field) in fields.enumerated() where field.number < numbers.count {
      numbers[field.number] = Int16(index)
    }
    self.numbers = numbers
  }

  /// Index of the field a JSON member names, by its JSON or its proto name.
  func field(named name: UnsafeRawBufferPointer) -> Int? {
    names.find(name)
  }

  func field(named name: String) -> Int? {
    fields.firstIndex { $0.jsonName == name || $0.name == name }
  }

  @inline(__always)
  func field(numbered number: Int) -> Int? {
    if number < numbers.count {
      let index = numbers[number]
      return index < 0 ? nil : Int(index)
    }
    return fields.firstIndex { $0.number == number }
  }
}

final class FieldTable: Sendable {
  enum Shape: Sendable, Hashable {
    /// Written even when zero (proto3's implicit presence).
    case implicit
    /// Left out when unset: submessages, `optional`, members of a oneof.
    case optional
    case repeated
    /// A repeated entry message of key and value.
    case map
  }

  enum Kind: Sendable {
    case bool
    case integer(IntegerFormat)
    case float, double
    case string, bytes
    case enumeration(EnumTable)
    case timestamp, duration
    case message(MessageTable)
  }

  let name: String
  let jsonName: String
  let number: Int
  let kind: Kind
  let shape: Shape
  /// Which oneof of its message it belongs to.
  let oneof: Int?
  /// Absent, the field breaks its rules.
  let isRequired: Bool
  /// Given, it must not be zero, empty or an empty list: `required` on a field without presence.
  let mustNotBeZero: Bool
  /// Of each value.
  let rules: ValueRules?
  /// Of the list of values.
  let listRules: RepeatedRules?
  /// `"jsonName":`
  let key: [UInt8]

  init(
    _ descriptor: FieldDescriptor, kind: Kind, shape: Shape
  ) {
    name = descriptor.name
    jsonName = descriptor.jsonName
    number = descriptor.number
    self.kind = kind
    self.shape = shape
    oneof = descriptor.oneofIndex
    key = Array("\"\(descriptor.jsonName)\":".utf8)
    let isDeclaredRequired = descriptor.rules?.isRequired ?? false
    mustNotBeZero = isDeclaredRequired && shape != .optional
    if case .repeated(let list) = descriptor.rules?.value {
      listRules = list
      rules = list.items?.value
      isRequired = isDeclaredRequired || list.check(count: 0) != nil
    } else {
      listRules = nil
      rules = descriptor.rules?.value
      isRequired = isDeclaredRequired || (shape == .implicit && rules?.refusesZero ?? false)
    }
  }

  /// What a value must be, for people.
  var expectation: String {
    switch kind {
    case .bool: "true or false"
    case .integer(let format): format.expectation
    case .float, .double: "a number"
    case .string, .timestamp, .duration: "a string"
    case .bytes: "a base64 string"
    case .enumeration(let table): "one of \(table.choices)"
    case .message: "an object"
    }
  }

  /// How one value is framed on the wire.
  var wireType: WireType {
    switch kind {
    case .bool, .enumeration: .varint
    case .integer(let format): format.encoding == .fixed ? (format.bits == 32 ? .fixed32 : .fixed64) : .varint
    case .float: .fixed32
    case .double: .fixed64
    case .string, .bytes, .timestamp, .duration, .message: .length
    }
  }
}

/// One of protobuf's ten integer types.
struct IntegerFormat: Sendable, Hashable {
  enum Encoding: Sendable { case varint, zigzag, fixed }

  var bits: Int
  var isSigned: Bool
  var encoding: Encoding

  var expectation: String {
    isSigned
      ? "a whole number from -2^\(bits - 1) to 2^\(bits - 1) - 1" : "a whole number from 0 to 2^\(bits) - 1"
  }
}

extension ValueRules {
  /// Whether a scalar left out, which means its zero, breaks the rules.
  fileprivate var refusesZero: Bool {
    switch self {
    case .string(let rules): rules.check("") != nil
    case .bytes(let rules): rules.check(byteCount: 0) != nil
    case .int(let rules): rules.check(0) != nil
    case .uint(let rules): rules.check(0) != nil
    case .double(let rules): rules.check(0) != nil
    case .enumeration, .repeated: false
    }
  }
}

final class EnumTable: Sendable {
  struct Value: Sendable {
    var number: Int32
    /// As declared, e.g. `POLL_STATUS_ACTIVE`.
    var name: String
    /// In JSON: lower case, without the enum's prefix, e.g. `active`.
    var jsonName: String
    /// `"active"`
    var quoted: [UInt8]
  }

  let values: [Value]

  init(_ descriptor: EnumDescriptor) {
    values = descriptor.values.map { value in
      Value(
        number: value.number, name: value.name, jsonName: value.jsonName,
        quoted: Array("\"\(value.jsonName)\"".utf8))
    }
  }

  func value(numbered number: Int32) -> Value? {
    values.first { $0.number == number }
  }

  /// By short or full name in any case.
  func value(named text: UnsafeRawBufferPointer) -> Value? {
    values.first { text.equalsIgnoringCase($0.jsonName) || text.equalsIgnoringCase($0.name) }
  }

  /// The names a caller may choose from; the zero only says that nothing was chosen.
  var choices: String {
    values.filter { $0.number != 0 }.map(\.jsonName).joined(separator: ", ")
  }
}

extension UnsafeRawBufferPointer {
  func equalsIgnoringCase(_ text: String) -> Bool {
    let other = text.utf8
    guard count == other.count else { return false }
    return zip(self, other).allSatisfy { $0 == $1 || ($0 | 0x20 == $1 | 0x20 && ($0 | 0x20).isLowerLetter) }
  }
}

extension UInt8 {
  fileprivate var isLowerLetter: Bool { self >= UInt8(ascii: "a") && self <= UInt8(ascii: "z") }
}

/// Which of a message's fields were seen, by index.
struct FieldSet: Sendable, Hashable {
  /// A message type with more fields is refused at start.
  static let capacity = 128

  private var bits: UInt128 = 0

  init() {}

  init(_ indices: some Sequence<Int>) {
    for index in indices { bits |= 1 << UInt128(index) }
  }

  var isEmpty: Bool { bits == 0 }

  func contains(_ index: Int) -> Bool { bits >> UInt128(index) & 1 == 1 }

  /// False when it was there already.
  mutating func insert(_ index: Int) -> Bool {
    let bit: UInt128 = 1 << UInt128(index)
    defer { bits |= bit }
    return bits & bit == 0
  }

  mutating func remove(_ index: Int) {
    bits &= ~(1 << UInt128(index))
  }

  func subtracting(_ other: FieldSet) -> FieldSet {
    var result = self
    result.bits &= ~other.bits
    return result
  }
}

/// Names to indices by open addressing: one hash, almost always one comparison.
struct NameIndex: Sendable {
  private struct Slot {
    var name: [UInt8]
    var index: Int
  }

  private var slots: [Slot?]
  private let mask: Int

  init(_ entries: [(name: String, index: Int)]) {
    var capacity = 4
    while capacity < entries.count * 2 { capacity *= 2 }
    slots = Array(repeating: nil, count: capacity)
    mask = capacity - 1
    for entry in entries {
      let name = Array(entry.name.utf8)
      var position = name.withUnsafeBytes { Self.hash($0) } & mask
      while slots[position] != nil { position = (position + 1) & mask }
      slots[position] = Slot(name: name, index: entry.index)
    }
  }

  func find(_ name: UnsafeRawBufferPointer) -> Int? {
    var position = Self.hash(name) & mask
    while let slot = slots[position] {
      if slot.name.count == name.count, name.elementsEqual(slot.name) { return slot.index }
      position = (position + 1) & mask
    }
    return nil
  }

  /// FNV-1a. The names are ours; only look-ups are the caller's, so it need not resist collisions.
  private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return Int(truncatingIfNeeded: hash ^ hash >> 32)
  }
}
