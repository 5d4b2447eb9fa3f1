import NIOCore

/// A JSON document put together at start. Members stay in the order they were given in, so that the same contract
/// always makes the same text.
enum JSONValue: Sendable {
  case bool(Bool)
  /// As it is written.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)

  static func number(_ value: some BinaryInteger) -> JSONValue { .number(String(value)) }

  static func strings(_ values: some Sequence<String>) -> JSONValue { .array(values.map { .string($0) }) }
}

struct JSONObject: Sendable {
  private(set) var members: [(name: String, value: JSONValue)] = []

  var isEmpty: Bool { members.isEmpty }

  /// Keeps the place of a member that is there already.
  subscript(name: String) -> JSONValue? {
    get { members.first { $0.name == name }?.value }
    set {
      let index = members.firstIndex { $0.name == name }
      switch (index, newValue) {
      case (let index?, let value?): members[index].value = value
      case (let index?, nil): members.remove(at: index)
      case (nil, let value?): members.append((name, value))
      case (nil, nil): break
      }
    }
  }

  mutating func merge(_ other: JSONObject) {
    for (name, value) in other.members { self[name] = value }
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  init(dictionaryLiteral elements: (String, JSONValue)...) {
    members = elements.map { (name: $0.0, value: $0.1) }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
  ExpressibleByBooleanLiteral,
  ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  init(stringLiteral value: String) { self = .string(value) }
  init(booleanLiteral value: Bool) { self = .bool(value) }
  init(integerLiteral value: Int) { self = .number(value) }
  init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(JSONObject(members: elements.map { (name: $0.0, value: $0.1) }))
  }
}

extension ByteBuffer {
  mutating func writeJSON(_ value: JSONValue) {
    switch value {
    case .bool(let isTrue): writeStaticString(isTrue ? "true" : "false")
    case .number(let text): writeString(text)
    case .string(let text): writeQuoted(text)
    case .array(let elements):
      writeInteger(UInt8.openBracket)
      for (index, element) in elements.enumerated() {
        if index > 0 { writeInteger(UInt8.comma) }
        writeJSON(element)
      }
      writeInteger(UInt8.closeBracket)
    case .object(let object):
      writeInteger(UInt8.openBrace)
      for (index, member) in object.members.enumerated() {
        if index > 0 { writeInteger(UInt8.comma) }
        writeQuoted(member.name)
        writeInteger(UInt8.colon)
        writeJSON(member.value)
      }
      writeInteger(UInt8.closeBrace)
    }
  }
}
