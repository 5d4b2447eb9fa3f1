import NIOCore
import Schema

// Scalars, from their text to the wire, and the rules they must satisfy.
extension JSONToWire {
  // MARK: Scalars, to the wire

  mutating func writeTag(_ field: FieldTable) {
    out.writeTag(field.number, field.wireType)
  }

  mutating func writeString(_ text: UnsafeRawBufferPointer, of field: FieldTable) {
    out.writeTag(field.number, .length)
    out.writeDelimited(text)
    check(text, field)
  }

  /// A scalar given as text: a JSON string, a path variable or a query parameter.
  mutating func writeText(_ text: UnsafeRawBufferPointer, of field: FieldTable, tagged: Bool) {
    switch field.kind {
    case .string:
      writeString(text, of: field)
    case .bytes:
      guard let bytes = Base64.decode(text) else { return note("INVALID_BASE64", "must be base64") }
      out.writeTag(field.number, .length)
      out.writeDelimited(bytes)
      check(byteCount: bytes.count, field)
    case .timestamp:
      guard let instant = Moments.timestamp(text) else {
        return note("INVALID_TIMESTAMP", "must be a time such as 2023-01-25T18:13:22.5Z (RFC 3339)")
      }
      writeInstant(instant, of: field)
    case .duration:
      guard let duration = Moments.duration(text) else {
        return note("INVALID_DURATION", "must be seconds such as \"1.5s\"")
      }
      writeInstant(duration, of: field)
    case .enumeration(let table):
      guard let value = table.value(named: text) else {
        return note("UNKNOWN_ENUM_VALUE", "must be one of \(table.choices)")
      }
      writeEnum(value.number, of: field, tagged: tagged)
    case .float, .double:
      switch text.count == 0 ? "" : String(decoding: text, as: UTF8.self) {
      case "NaN": writeDouble(.nan, of: field, tagged: tagged)
      case "Infinity": writeDouble(.infinity, of: field, tagged: tagged)
      case "-Infinity": writeDouble(-.infinity, of: field, tagged: tagged)
      default: writeNumberText(text, of: field, tagged: tagged)
      }
    case .integer:
      writeNumberText(text, of: field, tagged: tagged)
    case .bool, .jsonObject, .message:
      note("WRONG_TYPE", "must be \(field.expectation)")
    }
  }

  private mutating func writeNumberText(_ text: UnsafeRawBufferPointer, of field: FieldTable, tagged: Bool) {
    guard Numbers.isNumber(text) else { return note("WRONG_TYPE", "must be \(field.expectation)") }
    writeNumber(text, of: field, tagged: tagged)
  }

  mutating func writeNumber(_ text: UnsafeRawBufferPointer, of field: FieldTable, tagged: Bool) {
    switch field.kind {
    case .integer(let format):
      guard let value = Numbers.integer(text, format: format) else {
        return note("OUT_OF_RANGE", "must be \(field.expectation)")
      }
      if tagged { writeTag(field) }
      writeInteger(value, format: format)
      check(integer: value, isSigned: format.isSigned, field)
    case .enumeration(let table):
      let format = IntegerFormat(bits: 32, isSigned: true, encoding: .varint)
      guard let value = Numbers.integer(text, format: format),
        let known = table.value(numbered: Int32(truncatingIfNeeded: value))
      else { return note("UNKNOWN_ENUM_VALUE", "must be one of \(table.choices)") }
      writeEnum(known.number, of: field, tagged: tagged)
    default:
      guard let value = Numbers.double(text), value.isFinite else {
        return note("OUT_OF_RANGE", "must be \(field.expectation)")
      }
      writeDouble(value, of: field, tagged: tagged)
    }
  }

  private mutating func writeInteger(_ value: UInt64, format: IntegerFormat) {
    switch format.encoding {
    case .varint: out.writeVarint(value)
    case .zigzag: out.writeVarint(value << 1 ^ UInt64(bitPattern: Int64(bitPattern: value) >> 63))
    case .fixed where format.bits == 32:
      out.writeInteger(UInt32(truncatingIfNeeded: value), endianness: .little)
    case .fixed: out.writeInteger(value, endianness: .little)
    }
  }

  private mutating func writeDouble(_ value: Double, of field: FieldTable, tagged: Bool) {
    if case .float = field.kind {
      let float = Float(value)
      guard float.isFinite == value.isFinite else {
        return note("OUT_OF_RANGE", "must be \(field.expectation)")
      }
      if tagged { writeTag(field) }
      out.writeInteger(float.bitPattern, endianness: .little)
    } else {
      if tagged { writeTag(field) }
      out.writeInteger(value.bitPattern, endianness: .little)
    }
    check(value, field)
  }

  private mutating func writeEnum(_ number: Int32, of field: FieldTable, tagged: Bool) {
    if tagged { writeTag(field) }
    out.writeVarint(UInt64(bitPattern: Int64(number)))
    if number == 0, field.mustNotBeZero { note(.required) }
  }

  private mutating func writeInstant(_ instant: Moments.Instant, of field: FieldTable) {
    out.writeTag(field.number, .length)
    let mark = out.openLength()
    if instant.seconds != 0 {
      out.writeTag(1, .varint)
      out.writeVarint(UInt64(bitPattern: instant.seconds))
    }
    if instant.nanos != 0 {
      out.writeTag(2, .varint)
      out.writeVarint(UInt64(bitPattern: Int64(instant.nanos)))
    }
    out.closeLength(mark)
  }

  // MARK: Rules

  mutating func check(_ text: UnsafeRawBufferPointer, _ field: FieldTable) {
    if text.isEmpty, field.mustNotBeZero { return note(.required) }
    guard case .string(let rules) = field.rules else { return }
    note(rules.check(String(decoding: text, as: UTF8.self)))
  }

  mutating func check(integer value: UInt64, isSigned: Bool, _ field: FieldTable) {
    if value == 0, field.mustNotBeZero { return note(.required) }
    switch field.rules {
    case .int(let rules) where isSigned: note(rules.check(Int64(bitPattern: value)))
    case .uint(let rules) where !isSigned: note(rules.check(value))
    default: break
    }
  }

  mutating func check(_ value: Double, _ field: FieldTable) {
    if value == 0, field.mustNotBeZero { return note(.required) }
    if case .double(let rules) = field.rules { note(rules.check(value)) }
  }

  mutating func check(byteCount count: Int, _ field: FieldTable) {
    if count == 0, field.mustNotBeZero { return note(.required) }
    if case .bytes(let rules) = field.rules { note(rules.check(byteCount: count)) }
  }

  mutating func check(itemCount count: Int, _ field: FieldTable) {
    if count == 0, field.mustNotBeZero { return note(.required) }
    note(field.listRules?.check(count: count))
  }

  mutating func note(_ violation: RuleViolation?) {
    guard let violation else { return }
    note(violation.code, violation.message)
  }

  mutating func note(_ code: String, _ message: String) {
    guard violations.count < Self.violationLimit else { return }
    violations.append(InputViolation(pointer: path.pointer, code: code, message: message))
  }
}
