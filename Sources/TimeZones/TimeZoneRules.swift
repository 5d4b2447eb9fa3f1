/// What clocks in one zone showed and will show: the offsets from UTC and the instants they change, read from
/// a compiled file of the IANA database (TZif, RFC 8536). Foundation's `TimeZone` cannot say which of two
/// readings of an ambiguous time is meant, so we read the file.
package struct TimeZoneRules: Sendable {
  /// The offset before the first transition.
  private var initialOffset: Int64
  /// UTC seconds, ascending, each with the offset from it on. Ends a whole Gregorian cycle after the last
  /// transition in the file, filled from the rule in its footer.
  private var transitions: [Int64]
  private var offsets: [Int64]
  /// Whether the clocks go on changing after the last transition; then the final 400 years repeat for ever,
  /// since the calendar does, weekdays included.
  private var repeats: Bool

  private static let cycleYears: Int64 = 400
  private static let cycleSeconds: Int64 = 146_097 * CivilDate.secondsPerDay
  /// No zone has ever been further from UTC than 16 hours; POSIX allows a day and a bit.
  private static let largestOffset: Int64 = 26 * 3600

  /// A zone whose clocks never change.
  package init(fixedOffset seconds: Int64) {
    initialOffset = seconds
    transitions = []
    offsets = []
    repeats = false
  }

  package init(tzif bytes: [UInt8]) throws(TZifError) {
    let file = try TZif(bytes)
    initialOffset = file.initialOffset
    transitions = file.transitions
    offsets = file.offsets
    repeats = false
    if let rule = file.footer { extend(by: rule) }
  }

  private mutating func extend(by rule: PosixTimeZone) {
    guard rule.daylight != nil else {
      if transitions.isEmpty { initialOffset = rule.standardOffset }
      return
    }
    let last = transitions.last
    let firstYear = CivilDate(containingLocalSecond: last ?? 0).components.year
    for year in firstYear...firstYear + Self.cycleYears {
      for change in rule.transitions(year: year) where change.second > (last ?? .min) {
        transitions.append(change.second)
        offsets.append(change.offset)
      }
    }
    repeats = true
  }

  /// Seconds to add to UTC to get local time at that instant.
  package func offset(atUTC second: Int64) -> Int64 {
    let second = folded(second)
    let count = transitionCount(upTo: second)
    return count == 0 ? initialOffset : offsets[count - 1]
  }

  /// Which of the two instants an ambiguous local time stands for.
  package enum Occurrence: Hashable, Sendable { case first, second }

  /// The instant at which a clock in the zone reads `local` seconds since 1970-01-01T00:00.
  ///
  /// When clocks went back it reads so twice, and `occurrence` chooses. When they went forward past it, it
  /// never reads so: the time shifts forward by the length of the gap (02:30 becomes 03:30), which is what
  /// reading it with the offset from before the change gives.
  package func utc(localSecond local: Int64, _ occurrence: Occurrence) -> Int64 {
    let shift = folded(local) - local
    let folded = local + shift
    // Every offset in force within a day around may be the one on the clock; each proposes an instant, and the
    // proposals that the clock confirms are the answers.
    let from = transitionCount(upTo: folded - Self.largestOffset)
    let to = transitionCount(upTo: folded + Self.largestOffset)
    var answer: Int64?
    for index in from...to {
      let offset = index == 0 ? initialOffset : offsets[index - 1]
      let proposal = folded - offset
      let begins = index == 0 ? Int64.min : transitions[index - 1]
      let ends = index == transitions.count ? Int64.max : transitions[index]
      guard proposal >= begins, proposal < ends else { continue }
      answer = proposal
      if occurrence == .first { break }
    }
    if let answer { return answer - shift }
    for index in from..<to {
      let before = index == 0 ? initialOffset : offsets[index - 1]
      // In the gap: the old clock had not come to it at the change, and the new one is past it.
      if folded >= transitions[index] + before, folded < transitions[index] + offsets[index] {
        return folded - before - shift
      }
    }
    preconditionFailure("every local time is on the clock once, twice, or in a gap")
  }

  /// Whether the offset is the same throughout.
  package func isConstant(fromUTC start: Int64, toUTC end: Int64) -> Bool {
    let shift = folded(start) - start
    return transitionCount(upTo: start + shift) == transitionCount(upTo: end + shift)
  }

  /// Moves a second beyond the table back into it by whole calendar cycles. The margin keeps the neighbours of
  /// the result inside too.
  private func folded(_ second: Int64) -> Int64 {
    guard repeats, let last = transitions.last else { return second }
    let beyond = second - (last - 366 * CivilDate.secondsPerDay)
    guard beyond > 0 else { return second }
    return second - (beyond / Self.cycleSeconds + 1) * Self.cycleSeconds
  }

  /// How many transitions happened at or before that second.
  private func transitionCount(upTo second: Int64) -> Int {
    var low = 0
    var high = transitions.count
    while low < high {
      let middle = (low + high) / 2
      if transitions[middle] <= second { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

extension TimeZoneRules {
  /// When a clock in the zone reads something.
  package enum Reading: Hashable, Sendable {
    case once(Int64)
    /// Clocks went back.
    case twice(Int64, Int64)
    /// Clocks went forward past it, at that instant.
    case never(skippedAt: Int64)
  }

  /// The UTC seconds at which a clock in the zone reads `local` seconds since 1970-01-01T00:00.
  package func reading(localSecond local: Int64) -> Reading {
    let first = utc(localSecond: local, .first)
    let after = offset(atUTC: first)
    guard first + after == local else {
      // The gap ends at the first instant with the new offset, less than the gap's length before.
      var low = local - after
      var high = first
      while low < high {
        let middle = low + (high - low) / 2
        if offset(atUTC: middle) == after { high = middle } else { low = middle + 1 }
      }
      return .never(skippedAt: high)
    }
    let second = utc(localSecond: local, .second)
    return first == second ? .once(first) : .twice(first, second)
  }
}
