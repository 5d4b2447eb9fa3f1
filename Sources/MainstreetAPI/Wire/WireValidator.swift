internal import CMainstreetProto
internal import CProtobufC
internal import RPC

/// The one pass over the bytes of a peer before protobuf-c sees them. It refuses what protobuf-c would take and
/// we would not: text that is not UTF-8 or holds NUL, more fields than it has room to note, a singular message sent in pieces (which it merges in quadratic time, and wrongly where the pieces hold
/// scalars of proto3); and it says what is wrong, where protobuf-c only says that something is.
///
/// It recurses as deep as the schema nests, which the generator bounds, and never into unknown fields.
struct WireValidator {
  /// Fields of the whole message. protobuf-c notes 32 bytes about each.
  static let maxFields = 1 << 20

  private var fieldsLeft = maxFields

  static func check(
    _ wire: UnsafeRawBufferPointer, as message: UnsafePointer<mainstreet_message>
  ) throws(MessageDecodingError) {
    var validator = WireValidator()
    try validator.check(WireBytes(wire), as: message.pointee)
  }

  private mutating func check(
    _ bytes: WireBytes, as message: mainstreet_message
  ) throws(MessageDecodingError) {
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
        try check(field, tag, isRepeat: isRepeat, &rest)
      } catch {
        throw error.inside(message.name(ofField: found))
      }
    }
  }

  private mutating func check(
    _ field: mainstreet_field, _ tag: WireBytes.Tag, isRepeat: Bool, _ rest: inout WireBytes
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
      guard !isRepeat || field.repeated else { throw MessageDecodingError("occurs twice") }
      try check(rest.lengthDelimited(), as: field.message.pointee)
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
