/// When something is done again and again, by the clock on the wall: `30 2 * * 1-5` is half past two on weekdays.
///
/// Five fields: minute, hour, day of the month, month, day of the week (0 and 7 are Sunday). Each is `*`, a value, a range
/// `9-17`, either with a step `*/15`, or a list of those; months and days have their English names too (`jan`, `mon`).
/// When both days are restricted, either will do, as in crontab(5). `@hourly`, `@daily`, `@weekly`, `@monthly` and
/// `@yearly` stand for what they say.
package struct CronExpression: Hashable, Sendable {
  /// As it was written.
  package let text: String
  let minutes: FieldSet
  let hours: FieldSet
  let daysOfMonth: FieldSet
  let months: FieldSet
  /// 0 is Sunday.
  let daysOfWeek: FieldSet

  /// - Throws: which field is wrong, and how.
  package init(_ text: String) throws(CronError) {
    self.text = text
    let spelledOut = try text.hasPrefix("@") ? Self.named(text) : text
    let fields = spelledOut.split(whereSeparator: { $0 == " " || $0 == "\t" })
    guard fields.count == 5 else {
      throw CronError(
        "\"\(text)\" has \(fields.count) fields; minute, hour, day, month and weekday are wanted")
    }
    minutes = try FieldSet(fields[0], .init("minute", 0...59))
    hours = try FieldSet(fields[1], .init("hour", 0...23))
    daysOfMonth = try FieldSet(fields[2], .init("day of the month", 1...31))
    months = try FieldSet(fields[3], .init("month", 1...12, names: Self.monthNames))
    daysOfWeek = try FieldSet(fields[4], .init("day of the week", 0...7, names: Self.dayNames)).sundayAsZero
    guard comesEver else { throw CronError("\"\(text)\" never comes: no month it names has such a day") }
  }

  private static let monthNames = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
  ]
  private static let dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

  private static func named(_ text: String) throws(CronError) -> String {
    switch text {
    case "@hourly": "0 * * * *"
    case "@daily", "@midnight": "0 0 * * *"
    case "@weekly": "0 0 * * 0"
    case "@monthly": "0 0 1 * *"
    case "@yearly", "@annually": "0 0 1 1 *"
    default:
      throw CronError("\"\(text)\" is none of @hourly, @daily, @weekly, @monthly and @yearly")
    }
  }

  private var comesEver: Bool {
    guard daysOfWeek.isEverything else { return true }
    let longest = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return longest.indices.contains { months.contains($0 + 1) && (daysOfMonth.first ?? 32) <= longest[$0] }
  }

  /// Every hour counts: it follows the time that passes, not the hands of the clock.
  var isEveryHour: Bool { hours.isEverything }
}

/// What is wrong with a cron expression, in words for whoever wrote it.
package struct CronError: Error, Hashable, Sendable, CustomStringConvertible {
  package let description: String

  init(_ description: String) { self.description = description }
}

/// The values of one field, as bits.
struct FieldSet: Hashable, Sendable {
  struct Field {
    let name: String
    let range: ClosedRange<Int>
    /// Of the values from the smallest on.
    let names: [String]

    init(_ name: String, _ range: ClosedRange<Int>, names: [String] = []) {
      self.name = name
      self.range = range
      self.names = names
    }
  }

  private var bits: UInt64 = 0
  /// Written with a star and no step.
  private(set) var isEverything = true

  init(_ text: Substring, _ field: Field) throws(CronError) {
    for part in text.split(separator: ",", omittingEmptySubsequences: false) { try add(part, field) }
  }

  private mutating func add(_ part: Substring, _ field: Field) throws(CronError) {
    func wrong(_ complaint: String) -> CronError {
      CronError("\"\(part)\" is no \(field.name): \(complaint)")
    }
    func value(_ text: Substring) throws(CronError) -> Int {
      if let index = field.names.firstIndex(of: text.lowercased()) { return field.range.lowerBound + index }
      guard let number = Int(text), text.allSatisfy(\.isNumber), field.range.contains(number) else {
        throw wrong("\(field.range.lowerBound) to \(field.range.upperBound) are allowed")
      }
      return number
    }
    let halves = part.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    var step = 1
    if halves.count == 2 {
      guard let number = Int(halves[1]), halves[1].allSatisfy(\.isNumber), number > 0 else {
        throw wrong("a step is a number above 0")
      }
      step = number
    }
    let range: ClosedRange<Int>
    if halves[0] == "*" {
      range = field.range
      if halves.count == 2 { isEverything = false }
    } else {
      isEverything = false
      let ends = halves[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
      let first = try value(ends[0])
      // `5/15` is from 5 on.
      let last = try ends.count == 2 ? value(ends[1]) : halves.count == 2 ? field.range.upperBound : first
      guard first <= last else { throw wrong("the range goes backwards") }
      range = first...last
    }
    for value in stride(from: range.lowerBound, through: range.upperBound, by: step) { bits |= 1 << value }
  }

  var sundayAsZero: FieldSet {
    var set = self
    if contains(7) { set.bits = bits & ~(1 << 7) | 1 }
    return set
  }

  func contains(_ value: Int) -> Bool { bits & (1 << value) != 0 }
  var first: Int? { next(from: 0) }

  /// The smallest value at or above that.
  func next(from value: Int) -> Int? {
    guard value < 64 else { return nil }
    let rest = bits >> value
    return rest == 0 ? nil : value + rest.trailingZeroBitCount
  }
}
