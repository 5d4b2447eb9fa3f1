/// One enum type.
public struct EnumDescriptor: Sendable {
  /// e.g. `PollStatus`
  public let name: String
  /// e.g. `mainstreet.store.v1.PollStatus`
  public let fullName: String
  /// Names of the messages it is nested in, outermost first.
  public let nesting: [String]
  public let values: [EnumValueDescriptor]
  public let comment: String

  public func value(number: Int32) -> EnumValueDescriptor? {
    values.first { $0.number == number }
  }

  /// - Parameter name: the JSON name or the name in the proto file, in any case.
  public func value(named name: String) -> EnumValueDescriptor? {
    let name = name.lowercased()
    return values.first { $0.jsonName == name || $0.name.lowercased() == name }
  }

  init(
    reading reader: WireReader, scope: String, nesting: [String], path: [Int], comments: [[Int]: String]
  ) throws(SchemaError) {
    var name = ""
    var numbers: [(name: String, number: Int32)] = []
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 1: name = try field.string()
      case 2:
        var value = (name: "", number: Int32(0))
        var parts = try field.message()
        while let part = try parts.next() {
          switch part.number {
          case 1: value.name = try part.string()
          case 2: value.number = Int32(truncatingIfNeeded: try part.int64())
          default: break
          }
        }
        numbers.append(value)
      default: break
      }
    }
    let prefix = upperSnake(name) + "_"
    let hasPrefix = numbers.allSatisfy { $0.name.hasPrefix(prefix) && $0.name.utf8.count > prefix.utf8.count }
    self.name = name
    self.nesting = nesting
    fullName = qualified(name, in: scope)
    comment = comments[path] ?? ""
    values = numbers.enumerated().map { index, value in
      EnumValueDescriptor(
        name: value.name,
        jsonName: (hasPrefix ? String(value.name.dropFirst(prefix.count)) : value.name).lowercased(),
        number: value.number, comment: comments[path + [2, index]] ?? "")
    }
  }
}

public struct EnumValueDescriptor: Sendable {
  /// As in the proto file, e.g. `POLL_STATUS_ACTIVE`.
  public let name: String
  /// Lower snake case without the prefix of the enum, e.g. `active`.
  public let jsonName: String
  public let number: Int32
  public let comment: String
}

/// `PollStatus` → `POLL_STATUS`: the prefix Buf's style gives the values of an enum.
private func upperSnake(_ name: String) -> String {
  var snake = ""
  var previousIsLower = false
  for character in name {
    if character.isUppercase && previousIsLower { snake += "_" }
    previousIsLower = character.isLowercase || character.isNumber
    snake += character.uppercased()
  }
  return snake
}
