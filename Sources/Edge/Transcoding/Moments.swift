import NIOCore

/// `google.protobuf.Timestamp` and `Duration` as text (RFC 3339; `"1.5s"`).
enum Moments {
  /// Seconds since 1970 and nanoseconds of the second.
  struct Instant: Hashable {
    var seconds: Int64
    var nanos: Int32
  }

  // MARK: Timestamp

  /// Parses `2023-01-25T18:13:22.479220Z`; any offset, at most nine fraction digits, years 1 to 9999.
  static func timestamp(_ text: UnsafeRawBufferPointer) -> Instant? {
    guard text.count >= 20,
      let year = digits(text, 0, 4), text[4] == .minus, let month = digits(text, 5, 2), text[7] == .minus,
      let day = digits(text, 8, 2), text[10] | 0x20 == UInt8(ascii: "t"),
      let hour = digits(text, 11, 2), text[13] == .colon, let minute = digits(text, 14, 2),
      text[16] == .colon, let second = digits(text, 17, 2),
      year >= 1, (1...12).contains(month), day >= 1, day <= daysIn(month: month, year: year),
      hour < 24, minute < 60, second < 60
    else { return nil }
    var index = 19
    guard let nanos = fraction(text, &index), let offset = utcOffset(text, index) else { return nil }
    let seconds = daysFromCivil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset
    guard validSeconds.contains(Int64(seconds)) else { return nil }
    return Instant(seconds: Int64(seconds), nanos: nanos)
  }

  /// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, the range of the protobuf type.
  static let validSeconds: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

  static func isValid(timestamp instant: Instant) -> Bool {
    validSeconds.contains(instant.seconds) && (0..<1_000_000_000).contains(instant.nanos)
  }

  static func write(timestamp instant: Instant, to out: inout ByteBuffer) {
    let days = Int((instant.seconds - (instant.seconds < 0 ? 86_399 : 0)) / 86_400)
    let second = Int(instant.seconds) - days * 86_400
    let (year, month, day) = civilFromDays(days)
    out.writeDigits(year, width: 4)
    out.writeInteger(UInt8.minus)
    out.writeDigits(month, width: 2)
    out.writeInteger(UInt8.minus)
    out.writeDigits(day, width: 2)
    out.writeInteger(UInt8(ascii: "T"))
    out.writeDigits(second / 3_600, width: 2)
    out.writeInteger(UInt8.colon)
    out.writeDigits(second / 60 % 60, width: 2)
    out.writeInteger(UInt8.colon)
    out.writeDigits(second % 60, width: 2)
    out.writeFraction(instant.nanos)
    out.writeInteger(UInt8(ascii: "Z"))
  }

  /// `Wed, 25 Jan 2023 18:13:22 GMT` (RFC 9110 §5.6.7).
  static func write(httpDate seconds: Int64, to out: inout ByteBuffer) {
    let days = Int(seconds / 86_400)
    let second = Int(seconds) - days * 86_400
    let (year, month, day) = civilFromDays(days)
    out.writeString(["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days % 7])
    out.writeStaticString(", ")
    out.writeDigits(day, width: 2)
    out.writeStaticString(" ")
    out.writeString(
      ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month - 1])
    out.writeStaticString(" ")
    out.writeDigits(year, width: 4)
    out.writeStaticString(" ")
    out.writeDigits(second / 3_600, width: 2)
    out.writeInteger(UInt8.colon)
    out.writeDigits(second / 60 % 60, width: 2)
    out.writeInteger(UInt8.colon)
    out.writeDigits(second % 60, width: 2)
    out.writeStaticString(" GMT")
  }

  // MARK: Duration

  /// Ten thousand years, the range of the protobuf type.
  static let durationLimit: Int64 = 315_576_000_000

  /// Parses `1.5s`, `-0.25s`, `3s`. Both parts carry the sign.
  static func duration(_ text: UnsafeRawBufferPointer) -> Instant? {
    var index = 0
    let isNegative = text.first == .minus
    if isNegative { index = 1 }
    let start = index
    var seconds: Int64 = 0
    while index < text.count, text[index].isDigit {
      seconds = seconds * 10 + Int64(text[index] - UInt8(ascii: "0"))
      guard seconds <= durationLimit else { return nil }
      index += 1
    }
    guard index > start, let nanos = fraction(text, &index), index == text.count - 1,
      text[index] == UInt8(ascii: "s"), seconds < durationLimit || nanos == 0
    else { return nil }
    return Instant(seconds: isNegative ? -seconds : seconds, nanos: isNegative ? -nanos : nanos)
  }

  static func isValid(duration: Instant) -> Bool {
    abs(duration.seconds) <= durationLimit && abs(duration.nanos) < 1_000_000_000
      && (duration.seconds == 0 || duration.nanos == 0 || (duration.seconds < 0) == (duration.nanos < 0))
  }

  static func write(duration: Instant, to out: inout ByteBuffer) {
    if duration.seconds < 0 || duration.nanos < 0 { out.writeInteger(UInt8.minus) }
    out.writeDecimal(duration.seconds.magnitude)
    out.writeFraction(abs(duration.nanos))
    out.writeInteger(UInt8(ascii: "s"))
  }

  // MARK: Parts

  private static func digits(_ text: UnsafeRawBufferPointer, _ start: Int, _ count: Int) -> Int? {
    guard start + count <= text.count else { return nil }
    var value = 0
    for index in start..<start + count {
      guard text[index].isDigit else { return nil }
      value = value * 10 + Int(text[index] - UInt8(ascii: "0"))
    }
    return value
  }

  /// An optional `.123456789`, as nanoseconds; nil when malformed or finer than a nanosecond.
  private static func fraction(_ text: UnsafeRawBufferPointer, _ index: inout Int) -> Int32? {
    guard index < text.count, text[index] == UInt8(ascii: ".") else { return 0 }
    index += 1
    var value: Int32 = 0
    var unit: Int32 = 100_000_000
    let start = index
    while index < text.count, text[index].isDigit {
      guard unit > 0 else { return nil }
      value += Int32(text[index] - UInt8(ascii: "0")) * unit
      unit /= 10
      index += 1
    }
    return index > start ? value : nil
  }

  /// `Z` or `±hh:mm` to the end of the text, in seconds.
  private static func utcOffset(_ text: UnsafeRawBufferPointer, _ index: Int) -> Int? {
    guard index < text.count else { return nil }
    if text[index] | 0x20 == UInt8(ascii: "z") { return index + 1 == text.count ? 0 : nil }
    guard text[index] == .plus || text[index] == .minus, index + 6 == text.count, text[index + 3] == .colon,
      let hours = digits(text, index + 1, 2), let minutes = digits(text, index + 4, 2), hours < 24,
      minutes < 60
    else { return nil }
    let offset = hours * 3_600 + minutes * 60
    return text[index] == .minus ? -offset : offset
  }

  private static func daysIn(month: Int, year: Int) -> Int {
    switch month {
    case 4, 6, 9, 11: 30
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    default: 31
    }
  }

  /// Days since 1970-01-01 in the proleptic Gregorian calendar. Years begin in March here, so that the
  /// leap day is the last of its year (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
  private static func daysFromCivil(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let year = month <= 2 ? year - 1 : year
    let era = year / 400
    let yearOfEra = year - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func civilFromDays(_ days: Int) -> (year: Int, month: Int, day: Int) {
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
  }
}

extension ByteBuffer {
  mutating func writeDigits(_ value: Int, width: Int) {
    var unit = 1
    for _ in 1..<width { unit *= 10 }
    while unit > 0 {
      writeInteger(UInt8(ascii: "0") + UInt8(value / unit % 10))
      unit /= 10
    }
  }

  mutating func writeDecimal(_ value: UInt64) {
    if value < 10 {
      writeInteger(UInt8(ascii: "0") + UInt8(value))
      return
    }
    var divisor: UInt64 = 10
    while value / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      writeInteger(UInt8(ascii: "0") + UInt8(value / divisor % 10))
      divisor /= 10
    }
  }

  /// `.5` for half a second; nothing for none.
  fileprivate mutating func writeFraction(_ nanos: Int32) {
    guard nanos > 0 else { return }
    writeInteger(UInt8(ascii: "."))
    var rest = nanos
    var unit: Int32 = 100_000_000
    while rest > 0 {
      writeInteger(UInt8(ascii: "0") + UInt8(rest / unit))
      rest %= unit
      unit /= 10
    }
  }
}
