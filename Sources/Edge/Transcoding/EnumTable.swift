import Schema

/// An enum type, its values' names spelled as JSON.
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
