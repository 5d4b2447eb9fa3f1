internal import CMainstreetProto
internal import CProtobufC
internal import RPC

/// The one pass over the bytes of a peer before protobuf-c sees them. It refuses what protobuf-c would take and
/// we would not: text that is not UTF-8 or holds NUL, deep nesting, more fields than it has room to note, a
/// singular message sent again and again (merged in quadratic time); and it says what is wrong, where
/// protobuf-c only says that something is.
struct WireValidator {
  static let maxDepth = 32
  /// Fields of the whole message. protobuf-c notes 32 bytes about each.
  static let maxFields = 1 << 20
  /// Second and further occurrences of singular messages in the whole message.
  static let maxRepeats = 64

  private var fieldsLeft = maxFields
  private var repeatsLeft = maxRepeats

  static func check(
    _ wire: UnsafeRawBufferPointer, as message: UnsafePointer<mainstreet_message>
  ) throws(MessageDecodingError) {
    var validator = WireValidator()
    try validator.check(WireBytes(wire), as: message.pointee, depth: 1)
  }

  private mutating func check(
    _ bytes: WireBytes, as message: mainstreet_message, depth: Int
  ) throws(MessageDecodingError) {
    guard depth <= Self.maxDepth else {
      throw MessageDecodingError("messages nest deeper than \(Self.maxDepth)")
    }
    var rest = bytes
    // Fields mostly come in the order of their numbers, so the search goes on where it last ended.
    var index = 0
    var seen: UInt64 = 0
    while !rest.isEmpty {
      fieldsLeft -= 1
      guard fieldsLeft >= 0 else { throw MessageDecodingError("has more than \(Self.maxFields) fields") }
      let tag = try rest.tag()
      guard let found = message.index(of: tag.number, from: index) else {
        try rest.skip(tag)
        continue
      }
      index = found
      let field = message.fields[found]
      do {
        let isRepeat = seen & (1 << UInt64(found)) != 0
        seen |= 1 << UInt64(found)
        try check(field, tag, isRepeat: isRepeat, &rest, depth: depth)
      } catch {
        throw error.inside(message.name(ofField: found))
      }
    }
  }

  private mutating func check(
    _ field: mainstreet_field, _ tag: WireBytes.Tag, isRepeat: Bool, _ rest: inout WireBytes, depth: Int
  ) throws(MessageDecodingError) {
    let kind = Int(field.kind)
    if kind < MAINSTREET_STRING && tag.type == .lengthDelimited && field.repeated {
      return try rest.lengthDelimited().checkPacked(kind: kind)
    }
    switch (kind, tag.type) {
    case (MAINSTREET_VARINT, .varint): _ = try rest.varint()
    case (MAINSTREET_FIXED64, .fixed64): try rest.drop(8)
    case (MAINSTREET_FIXED32, .fixed32): try rest.drop(4)
    case (MAINSTREET_BYTES, .lengthDelimited): _ = try rest.lengthDelimited()
    case (MAINSTREET_STRING, .lengthDelimited): try rest.lengthDelimited().checkText()
    case (MAINSTREET_MESSAGE, .lengthDelimited):
      if isRepeat && !field.repeated {
        repeatsLeft -= 1
        guard repeatsLeft >= 0 else { throw MessageDecodingError("occurs too often") }
      }
      try check(rest.lengthDelimited(), as: field.message.pointee, depth: depth + 1)
    default:
      throw MessageDecodingError("has wire type \(tag.type.rawValue), which its type does not")
    }
  }
}

extension mainstreet_message {
  /// Where among its fields the one with this number is.
  fileprivate func index(of number: UInt32, from hint: Int) -> Int? {
    let count = Int(field_count)
    for step in 0..<count {
      let index = hint + step < count ? hint + step : hint + step - count
      if fields[index].number == number { return index }
    }
    return nil
  }

  fileprivate func name(ofField index: Int) -> String {
    descriptor.pointee.fields[index].name.map { String(cString: $0) } ?? "\(fields[index].number)"
  }
}

extension MessageDecodingError {
  /// The same error with the path to it: `polls.store_id: is not UTF-8`.
  fileprivate func inside(_ field: String) -> MessageDecodingError {
    let isPath = message.prefix { $0 != " " }.hasSuffix(":")
    return MessageDecodingError(isPath ? "\(field).\(message)" : "\(field): \(message)")
  }
}
