/// The rule at the end of a TZif file, for instants after its last transition: `CST6CDT,M3.2.0,M11.1.0`
/// (POSIX.1-2017 section 8.3, with the extensions of RFC 8536 section 3.3.1: hours from -167 to 167).
struct PosixTimeZone: Hashable, Sendable {
  var standardOffset: Int64
  var daylight: Daylight?

  struct Daylight: Hashable, Sendable {
    var offset: Int64
    var start: Change
    var end: Change
  }

  /// A day of the year and the local second, on the clock before the change, at which it happens.
  struct Change: Hashable, Sendable {
    var day: Day
    var second: Int64
  }

  enum Day: Hashable, Sendable {
    /// `Mm.w.d`: weekday d (0 is Sunday) of week w (5 is the last) of month m.
    case weekday(month: Int64, week: Int64, day: Int64)
    /// `Jn`: 1 to 365, never counting 29 February.
    case julian(Int64)
    /// `n`: 0 to 365, counting 29 February.
    case zeroBased(Int64)
  }

  /// Nil when the text is not such a rule.
  init?(_ text: some Collection<UInt8>) {
    var scanner = Scanner(text)
    guard scanner.skipName(), let standard = scanner.duration() else { return nil }
    standardOffset = -standard
    if scanner.isAtEnd { return }
    guard scanner.skipName() else { return nil }
    var daylightOffset = standardOffset + 3600
    if scanner.peek() != UInt8(ascii: ",") {
      guard let explicit = scanner.duration() else { return nil }
      daylightOffset = -explicit
    }
    guard let start = scanner.change(), let end = scanner.change(), scanner.isAtEnd else { return nil }
    daylight = Daylight(offset: daylightOffset, start: start, end: end)
  }

  /// The changes of a year, in time order: the UTC second of each and the offset that begins with it.
  func transitions(year: Int64) -> [(second: Int64, offset: Int64)] {
    guard let daylight else { return [] }
    let start = daylight.start.localSecond(year: year) - standardOffset
    let end = daylight.end.localSecond(year: year) - daylight.offset
    // "Daylight all year" is written as a daylight time that ends when it begins again; such a pair is no
    // change at all, and the later entry of the table wins.
    let pair = [(start, daylight.offset), (end, standardOffset)]
    return start <= end ? pair : [pair[1], pair[0]]
  }
}

extension PosixTimeZone.Change {
  func localSecond(year: Int64) -> Int64 {
    let date: CivilDate
    switch day {
    case .julian(let day):
      let newYear = CivilDate(year: year, month: 1, day: 1)
      let isLeap = CivilDate(year: year, month: 3, day: 1).daysSinceEpoch - newYear.daysSinceEpoch == 60
      date = newYear + (day - 1 + (isLeap && day >= 60 ? 1 : 0))
    case .zeroBased(let day):
      date = CivilDate(year: year, month: 1, day: 1) + day
    case .weekday(let month, let week, let sundayBasedDay):
      let first = CivilDate(year: year, month: month, day: 1)
      let mondayBasedDay = (sundayBasedDay + 6) % 7
      var candidate = first + ((mondayBasedDay - Int64(first.weekday) + 7) % 7 + (week - 1) * 7)
      let next = month == 12 ? (year + 1, 1) : (year, month + 1)
      if candidate >= CivilDate(year: next.0, month: next.1, day: 1) { candidate = candidate + -7 }
      date = candidate
    }
    return date.localSecond + second
  }
}

private struct Scanner {
  private let bytes: [UInt8]
  private var index = 0

  init(_ text: some Collection<UInt8>) { bytes = Array(text) }

  var isAtEnd: Bool { index == bytes.count }
  func peek() -> UInt8? { index < bytes.count ? bytes[index] : nil }

  mutating func skip(_ byte: UInt8) -> Bool {
    guard peek() == byte else { return false }
    index += 1
    return true
  }

  /// `CST` or `<+0330>`.
  mutating func skipName() -> Bool {
    let start = index
    if skip(UInt8(ascii: "<")) {
      while !isAtEnd, peek() != UInt8(ascii: ">") { index += 1 }
      return skip(UInt8(ascii: ">"))
    }
    while let byte = peek(), (byte | 0x20) >= UInt8(ascii: "a"), (byte | 0x20) <= UInt8(ascii: "z") {
      index += 1
    }
    return index - start >= 3
  }

  mutating func number() -> Int64? {
    var value: Int64 = 0
    let start = index
    while let byte = peek(), byte >= 0x30, byte <= 0x39, index - start < 4 {
      value = value * 10 + Int64(byte - 0x30)
      index += 1
    }
    return index > start ? value : nil
  }

  /// `[+-]hh[:mm[:ss]]`, in seconds.
  mutating func duration() -> Int64? {
    let sign: Int64 = skip(UInt8(ascii: "-")) ? -1 : 1
    if sign == 1 { _ = skip(UInt8(ascii: "+")) }
    guard let hours = number(), hours <= 167 else { return nil }
    var total = hours * 3600
    for unit: Int64 in [60, 1] where skip(UInt8(ascii: ":")) {
      guard let part = number(), part < 60 else { return nil }
      total += part * unit
    }
    return sign * total
  }

  /// `,date[/time]`; the time is 02:00 when it is left out.
  mutating func change() -> PosixTimeZone.Change? {
    guard skip(UInt8(ascii: ",")), let day = day() else { return nil }
    guard skip(UInt8(ascii: "/")) else { return PosixTimeZone.Change(day: day, second: 7200) }
    guard let second = duration() else { return nil }
    return PosixTimeZone.Change(day: day, second: second)
  }

  private mutating func day() -> PosixTimeZone.Day? {
    if skip(UInt8(ascii: "M")) {
      guard let month = number(), (1...12).contains(month), skip(UInt8(ascii: ".")),
        let week = number(), (1...5).contains(week), skip(UInt8(ascii: ".")),
        let day = number(), (0...6).contains(day)
      else { return nil }
      return .weekday(month: month, week: week, day: day)
    }
    if skip(UInt8(ascii: "J")) {
      guard let day = number(), (1...365).contains(day) else { return nil }
      return .julian(day)
    }
    guard let day = number(), day <= 365 else { return nil }
    return .zeroBased(day)
  }
}
