import NIOCore

/// Turns the bytes of a response message into JSON.
///
/// Fields are written in the order they are declared, whatever order they arrive in: one walk over a message
/// notes where each field's values begin and end, then each field is written from there.
struct WireToJSON {
  private(set) var out: ByteBuffer
  private let wire: UnsafeRawBufferPointer
  /// Where the fields of the messages now being written stand: a stack, so that nesting allocates nothing.
  private var slots: [Slot] = []

  private struct Slot {
    /// From the first value's tag to the last value's end.
    var first = 0
    var end = 0
    /// The last value, without its length.
    var last = 0..<0
    var type = WireType.varint
    var count = 0
  }

  /// - Parameter field: index of the field whose value is the whole document (`response_body`).
  static func transcode(
    _ message: ByteBuffer, as table: MessageTable, field: Int? = nil, into out: ByteBuffer
  ) throws(MalformedMessage) -> ByteBuffer {
    // `withUnsafeReadableBytes` rethrows untyped, so the outcome leaves it as a value.
    try message.withUnsafeReadableBytes { bytes -> Result<ByteBuffer, MalformedMessage> in
      var transcoder = WireToJSON(wire: bytes, out: out)
      do throws(MalformedMessage) {
        if let field {
          try transcoder.writeField(field, of: table, in: 0..<bytes.count)
        } else {
          try transcoder.writeMessage(table, in: 0..<bytes.count)
        }
        return .success(transcoder.out)
      } catch {
        return .failure(error)
      }
    }.get()
  }

  private init(wire: UnsafeRawBufferPointer, out: ByteBuffer) {
    self.wire = wire
    self.out = out
  }

  // MARK: Messages

  private mutating func writeMessage(_ table: MessageTable, in range: Range<Int>) throws(MalformedMessage) {
    let base = try locate(table, in: range)
    defer { slots.removeSubrange(base...) }
    out.writeInteger(UInt8.openBrace)
    var isFirst = true
    for (index, field) in table.fields.enumerated() {
      let slot = slots[base + index]
      if slot.count == 0, field.shape == .optional { continue }
      if !isFirst { out.writeInteger(UInt8.comma) }
      isFirst = false
      out.writeBytes(field.key)
      try write(field, slot)
    }
    out.writeInteger(UInt8.closeBrace)
  }

  private mutating func writeField(
    _ index: Int, of table: MessageTable, in range: Range<Int>
  ) throws(MalformedMessage) {
    let base = try locate(table, in: range)
    defer { slots.removeSubrange(base...) }
    let slot = slots[base + index]
    if slot.count == 0, table.fields[index].shape == .optional {
      out.writeStaticString("null")
    } else {
      try write(table.fields[index], slot)
    }
  }

  /// Pushes a slot for each field of the message; returns where they begin.
  private mutating func locate(_ table: MessageTable, in range: Range<Int>) throws(MalformedMessage) -> Int {
    let base = slots.count
    for _ in table.fields { slots.append(Slot()) }
    var reader = WireReader(wire, range: range)
    while !reader.isAtEnd {
      let start = reader.position
      let (number, type) = try reader.tag()
      let value = try reader.value(type)
      guard let index = table.field(numbered: number) else { continue }
      if slots[base + index].count == 0 { slots[base + index].first = start }
      slots[base + index].count += 1
      slots[base + index].end = reader.position
      slots[base + index].last = value
      slots[base + index].type = type
    }
    return base
  }

  private mutating func write(_ field: FieldTable, _ slot: Slot) throws(MalformedMessage) {
    switch field.shape {
    case .repeated:
      out.writeInteger(UInt8.openBracket)
      try writeElements(of: field, slot)
      out.writeInteger(UInt8.closeBracket)
    case .map:
      out.writeInteger(UInt8.openBrace)
      try writeElements(of: field, slot)
      out.writeInteger(UInt8.closeBrace)
    case .implicit, .optional:
      if slot.count == 0 {
        writeZero(of: field)
      } else if slot.count > 1, field.wireType == .length, try writeMerged(field, slot) {
        return
      } else {
        try writeValue(field, type: slot.type, slot.last)
      }
    }
  }

  /// A submessage in several pieces is the message all pieces make together (protobuf encoding guide,
  /// "Last One Wins"). Writers do not do this; the rule costs a copy where one does.
  private mutating func writeMerged(_ field: FieldTable, _ slot: Slot) throws(MalformedMessage) -> Bool {
    guard case .message(let table) = field.kind else { return false }
    var pieces: [UInt8] = []
    var reader = WireReader(wire, range: slot.first..<slot.end)
    while !reader.isAtEnd {
      let (number, type) = try reader.tag()
      let value = try reader.value(type)
      if number == field.number { pieces.append(contentsOf: wire[value]) }
    }
    out = try WireToJSON.transcode(ByteBuffer(bytes: pieces), as: table, into: out)
    return true
  }

  private mutating func writeElements(of field: FieldTable, _ slot: Slot) throws(MalformedMessage) {
    guard slot.count > 0 else { return }
    var isFirst = true
    var reader = WireReader(wire, range: slot.first..<slot.end)
    while !reader.isAtEnd {
      let (number, type) = try reader.tag()
      let value = try reader.value(type)
      guard number == field.number else { continue }
      if type == .length, field.wireType != .length {
        var packed = WireReader(wire, range: value)
        while !packed.isAtEnd {
          let element = try packed.value(field.wireType)
          try writeElement(field, type: field.wireType, element, &isFirst)
        }
      } else {
        try writeElement(field, type: type, value, &isFirst)
      }
    }
  }

  private mutating func writeElement(
    _ field: FieldTable, type: WireType, _ value: Range<Int>, _ isFirst: inout Bool
  ) throws(MalformedMessage) {
    if !isFirst { out.writeInteger(UInt8.comma) }
    isFirst = false
    if field.shape == .map {
      try writeEntry(field, type: type, value)
    } else {
      try writeValue(field, type: type, value)
    }
  }

  private mutating func writeEntry(
    _ field: FieldTable, type: WireType, _ range: Range<Int>
  ) throws(MalformedMessage) {
    guard type == .length, case .message(let entry) = field.kind else { throw mismatch(field) }
    let base = try locate(entry, in: range)
    defer { slots.removeSubrange(base...) }
    let (key, value) = (entry.fields[0], entry.fields[1])
    try write(key, slots[base])
    out.writeInteger(UInt8.colon)
    if case .message(let table) = value.kind, slots[base + 1].count == 0 {
      try writeMessage(table, in: 0..<0)
    } else {
      try write(value, slots[base + 1])
    }
  }

  // MARK: Values

  private mutating func writeValue(
    _ field: FieldTable, type: WireType, _ range: Range<Int>
  ) throws(MalformedMessage) {
    guard type == field.wireType else { throw mismatch(field) }
    var reader = WireReader(wire, range: range)
    switch field.kind {
    case .message(let table): try writeMessage(table, in: range)
    case .string: try writeString(range, of: field)
    case .jsonObject: try writeJSONObject(range, of: field)
    case .bytes:
      out.writeInteger(UInt8.quote)
      Base64.encode(UnsafeRawBufferPointer(rebasing: wire[range])) { out.writeInteger($0) }
      out.writeInteger(UInt8.quote)
    case .bool:
      out.writeStaticString(try reader.varint() != 0 ? "true" : "false")
    case .integer(let format): try writeInteger(&reader, format)
    case .float:
      let value = Float(bitPattern: try reader.fixed32())
      writeDouble(Double(value), text: value.description)
    case .double:
      let value = Double(bitPattern: try reader.fixed64())
      writeDouble(value, text: nil)
    case .enumeration(let table):
      let number = Int32(truncatingIfNeeded: try reader.varint())
      if let value = table.value(numbered: number) {
        out.writeBytes(value.quoted)
      } else {
        writeSigned(Int64(number))
      }
    case .timestamp:
      let instant = try instant(range)
      guard Moments.isValid(timestamp: instant) else { throw mismatch(field) }
      out.writeInteger(UInt8.quote)
      Moments.write(timestamp: instant, to: &out)
      out.writeInteger(UInt8.quote)
    case .duration:
      let duration = try instant(range)
      guard Moments.isValid(duration: duration) else { throw mismatch(field) }
      out.writeInteger(UInt8.quote)
      Moments.write(duration: duration, to: &out)
      out.writeInteger(UInt8.quote)
    }
  }

  private mutating func writeZero(of field: FieldTable) {
    switch field.kind {
    case .bool: out.writeStaticString("false")
    case .integer, .float, .double: out.writeInteger(UInt8(ascii: "0"))
    case .string, .bytes: out.writeStaticString("\"\"")
    case .jsonObject: out.writeStaticString("{}")
    case .enumeration(let table):
      if let zero = table.value(numbered: 0) {
        out.writeBytes(zero.quoted)
      } else {
        out.writeInteger(UInt8(ascii: "0"))
      }
    case .timestamp, .duration, .message: out.writeStaticString("null")
    }
  }

  private mutating func writeInteger(
    _ reader: inout WireReader, _ format: IntegerFormat
  ) throws(MalformedMessage) {
    let raw: UInt64
    switch format.encoding {
    case .varint: raw = try reader.varint()
    case .zigzag:
      let value = try reader.varint()
      raw = value >> 1 ^ (0 &- (value & 1))
    case .fixed where format.bits == 32: raw = UInt64(try reader.fixed32())
    case .fixed: raw = try reader.fixed64()
    }
    switch (format.isSigned, format.bits) {
    case (true, 32): writeSigned(Int64(Int32(truncatingIfNeeded: raw)))
    case (true, _): writeSigned(Int64(bitPattern: raw))
    case (false, 32): writeUnsigned(UInt64(UInt32(truncatingIfNeeded: raw)))
    case (false, _): writeUnsigned(raw)
    }
  }

  private mutating func writeSigned(_ value: Int64) {
    let isQuoted = value.magnitude > Self.exactLimit
    if isQuoted { out.writeInteger(UInt8.quote) }
    if value < 0 { out.writeInteger(UInt8.minus) }
    out.writeDecimal(value.magnitude)
    if isQuoted { out.writeInteger(UInt8.quote) }
  }

  private mutating func writeUnsigned(_ value: UInt64) {
    let isQuoted = value > Self.exactLimit
    if isQuoted { out.writeInteger(UInt8.quote) }
    out.writeDecimal(value)
    if isQuoted { out.writeInteger(UInt8.quote) }
  }

  /// Readers keep JSON numbers as doubles, which hold every integer up to here; beyond it goes a string.
  private static let exactLimit: UInt64 = 1 << 53

  private mutating func writeDouble(_ value: Double, text: String?) {
    if value.isNaN {
      out.writeStaticString("\"NaN\"")
    } else if value.isInfinite {
      out.writeStaticString(value < 0 ? "\"-Infinity\"" : "\"Infinity\"")
    } else if value.magnitude <= 0x1p53, value == value.rounded(), !(value == 0 && value.sign == .minus) {
      writeSigned(Int64(value))
    } else {
      // Swift prints the shortest text that reads back as the same value, in JSON's grammar.
      out.writeString(text ?? value.description)
    }
  }

  private func instant(_ range: Range<Int>) throws(MalformedMessage) -> Moments.Instant {
    var instant = Moments.Instant(seconds: 0, nanos: 0)
    var reader = WireReader(wire, range: range)
    while !reader.isAtEnd {
      let (number, type) = try reader.tag()
      if type == .varint, number == 1 {
        instant.seconds = Int64(bitPattern: try reader.varint())
      } else if type == .varint, number == 2 {
        instant.nanos = Int32(truncatingIfNeeded: try reader.varint())
      } else {
        _ = try reader.value(type)
      }
    }
    return instant
  }

  private mutating func writeString(_ range: Range<Int>, of field: FieldTable) throws(MalformedMessage) {
    out.writeInteger(UInt8.quote)
    var start = range.lowerBound
    var index = start
    while index < range.upperBound {
      let byte = wire[index]
      if byte >= 0x80 {
        let text = UnsafeRawBufferPointer(rebasing: wire[..<range.upperBound])
        let width = UTF8Check.sequenceLength(in: text, at: index)
        guard width > 0 else { throw MalformedMessage(reason: "\(field.name) is not UTF-8") }
        index += width
      } else if byte < 0x20 || byte == .quote || byte == .backslash {
        out.writeBytes(UnsafeRawBufferPointer(rebasing: wire[start..<index]))
        out.writeEscape(byte)
        index += 1
        start = index
      } else {
        index += 1
      }
    }
    out.writeBytes(UnsafeRawBufferPointer(rebasing: wire[start..<range.upperBound]))
    out.writeInteger(UInt8.quote)
  }

  /// Goes out as it is kept, if it is what its field says.
  private mutating func writeJSONObject(_ range: Range<Int>, of field: FieldTable) throws(MalformedMessage) {
    guard !range.isEmpty else { return writeZero(of: field) }
    let text = UnsafeRawBufferPointer(rebasing: wire[range])
    guard JSONScanner.isObject(text) else { throw mismatch(field) }
    out.writeBytes(text)
  }

  private func mismatch(_ field: FieldTable) -> MalformedMessage {
    MalformedMessage(reason: "\(field.name) does not hold what its type says")
  }
}

extension ByteBuffer {
  /// `\n`, `\"` and the like; the control characters without a short form as `\u001f`.
  mutating func writeEscape(_ byte: UInt8) {
    switch byte {
    case .quote: writeStaticString("\\\"")
    case .backslash: writeStaticString("\\\\")
    case 0x08: writeStaticString("\\b")
    case 0x09: writeStaticString("\\t")
    case 0x0A: writeStaticString("\\n")
    case 0x0C: writeStaticString("\\f")
    case 0x0D: writeStaticString("\\r")
    default:
      writeStaticString("\\u00")
      for digit in [byte >> 4, byte & 15] {
        writeInteger(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
      }
    }
  }

  /// Appends a JSON string.
  mutating func writeQuoted(_ text: String) {
    writeInteger(UInt8.quote)
    for byte in text.utf8 {
      if byte < 0x20 || byte == .quote || byte == .backslash { writeEscape(byte) } else { writeInteger(byte) }
    }
    writeInteger(UInt8.quote)
  }
}
