import TimeZones

/// One opening interval as it is stored and told: not yet interpreted, so that people get back what they entered.
struct StoredHours: Hashable, Comparable, Sendable {
  /// 0 is Monday.
  var dayOfWeek: Int
  /// Seconds of the local clock since midnight, 0..<86,400.
  var startSecond: Int64
  /// 0...86,400. At or before the start: on the next day.
  var endSecond: Int64

  /// What it means to the engine.
  var interval: OpenInterval? {
    OpenInterval(weekday: dayOfWeek, start: startSecond, end: endSecond)
  }

  static func < (left: StoredHours, right: StoredHours) -> Bool { left.packed < right.packed }
}

extension StoredHours {
  /// All three in one integer, so that the hours of a store travel as one array: see `packedSQL`.
  var packed: Int64 { Int64(dayOfWeek) << 40 | startSecond << 20 | endSecond }

  init(packed: Int64) {
    dayOfWeek = Int(packed >> 40)
    startSecond = packed >> 20 & 0xF_FFFF
    endSecond = packed & 0xF_FFFF
  }

  /// The same in SQL, for a row `h` of `store.business_hours`. To Postgres `<<` binds no tighter than `|`.
  static let packedSQL = "((h.day_of_week::int8 << 40) | (h.start_second::int8 << 20) | h.end_second)"
}

extension StoredHours {
  /// Reads `HH:MM` or `HH:MM:SS`, up to `24:00:00`, into seconds since midnight.
  static func second(_ text: Span<UInt8>, _ range: Range<Int>) -> Int64? {
    guard range.count == 5 || range.count == 8 else { return nil }
    var second: Int64 = 0
    for (offset, unit) in [(0, 3600), (3, 60), (6, 1)] as [(Int, Int64)] where offset < range.count {
      let tens = text[range.lowerBound + offset] &- UInt8(ascii: "0")
      let ones = text[range.lowerBound + offset + 1] &- UInt8(ascii: "0")
      guard tens <= 9, ones <= 9, offset == 0 || tens <= 5,
        offset == 0 || text[range.lowerBound + offset - 1] == UInt8(ascii: ":")
      else { return nil }
      second += Int64(tens * 10 + ones) * unit
    }
    return second <= CivilDate.secondsPerDay ? second : nil
  }

  static func second(_ text: String) -> Int64? {
    let bytes = Array(text.utf8)
    return second(bytes.span, 0..<bytes.count)
  }

  /// `HH:MM:SS`.
  static func text(second: Int64) -> String {
    [second / 3600, second / 60 % 60, second % 60]
      .map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: ":")
  }
}
