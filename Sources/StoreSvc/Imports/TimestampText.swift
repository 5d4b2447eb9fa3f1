import TimeZones

/// Reads `2023-01-22 12:09:39.388884 UTC` and RFC 3339 (`2023-01-22T12:09:39Z`, `2023-01-22 13:09:39+01:00`). The
/// fraction may be missing; what is beyond microseconds is cut off. Without a zone it is UTC, as the name of
/// the column, `timestamp_utc`, says.
enum TimestampText {
  static func parse(_ text: Span<UInt8>, _ range: Range<Int>) -> Instant? {
    guard range.count >= 19, let year = digits(text, range.lowerBound, 4),
      let month = digits(text, range.lowerBound + 5, 2), let day = digits(text, range.lowerBound + 8, 2),
      let hour = digits(text, range.lowerBound + 11, 2), let minute = digits(text, range.lowerBound + 14, 2),
      let second = digits(text, range.lowerBound + 17, 2),
      hasSeparators(text, range.lowerBound), hour < 24, minute < 60, second < 60,
      let date = date(year, month, day)
    else { return nil }
    var index = range.lowerBound + 19
    var fraction: Int64 = 0
    if index < range.upperBound, text[index] == UInt8(ascii: ".") {
      index += 1
      var scale: Int64 = 100_000
      let first = index
      while index < range.upperBound, let digit = digits(text, index, 1) {
        fraction += digit * scale
        scale /= 10
        index += 1
      }
      guard index > first else { return nil }
    }
    guard let offset = offset(text, index..<range.upperBound) else { return nil }
    let seconds = date.localSecond + hour * 3600 + minute * 60 + second - offset
    return Instant(microseconds: seconds * 1_000_000 + fraction)
  }

  private static func date(_ year: Int64, _ month: Int64, _ day: Int64) -> CivilDate? {
    // Before 1970 nobody polled; year 0 is a form that was not filled in.
    guard year >= 1970, (1...12).contains(month), (1...31).contains(day) else { return nil }
    let date = CivilDate(year: year, month: month, day: day)
    // 30 February would come out as a day in March.
    return day <= 28 || date.components.day == day ? date : nil
  }

  private static func hasSeparators(_ text: Span<UInt8>, _ start: Int) -> Bool {
    let between = text[start + 10]
    return text[start + 4] == UInt8(ascii: "-") && text[start + 7] == UInt8(ascii: "-")
      && (between == UInt8(ascii: " ") || between == UInt8(ascii: "T") || between == UInt8(ascii: "t"))
      && text[start + 13] == UInt8(ascii: ":") && text[start + 16] == UInt8(ascii: ":")
  }

  /// Seconds ahead of UTC that the end of the text tells.
  private static func offset(_ text: Span<UInt8>, _ range: Range<Int>) -> Int64? {
    var range = range
    if range.isEmpty { return 0 }
    if text[range.lowerBound] == UInt8(ascii: " ") { range = range.lowerBound + 1..<range.upperBound }
    switch range.count {
    case 1:
      let letter = text[range.lowerBound]
      return letter == UInt8(ascii: "Z") || letter == UInt8(ascii: "z") ? 0 : nil
    case 3:
      return text[range.lowerBound] == UInt8(ascii: "U") && text[range.lowerBound + 1] == UInt8(ascii: "T")
        && text[range.lowerBound + 2] == UInt8(ascii: "C") ? 0 : nil
    case 6:
      let sign = text[range.lowerBound]
      guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"),
        let hours = digits(text, range.lowerBound + 1, 2), hours < 24,
        text[range.lowerBound + 3] == UInt8(ascii: ":"),
        let minutes = digits(text, range.lowerBound + 4, 2), minutes < 60
      else { return nil }
      return (sign == UInt8(ascii: "-") ? -1 : 1) * (hours * 3600 + minutes * 60)
    default: return nil
    }
  }

  private static func digits(_ text: Span<UInt8>, _ start: Int, _ count: Int) -> Int64? {
    var value: Int64 = 0
    for index in start..<start + count {
      let digit = text[index] &- UInt8(ascii: "0")
      guard digit <= 9 else { return nil }
      value = value * 10 + Int64(digit)
    }
    return value
  }
}
