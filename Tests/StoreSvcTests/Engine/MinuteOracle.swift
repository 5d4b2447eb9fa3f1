import Foundation

@testable import StoreSvc

/// Uptime by asking of every minute whether the store was open and up. Slow, and too simple to be wrong. It
/// shares no code with the engine: the clock is Foundation's, read minute by minute.
struct MinuteOracle {
  private let windows: ReportWindows
  /// UTC minutes, ascending, from well before the week to well after it, and what the clock on the wall showed.
  private let firstMinute: Int64
  private let wall: [Int64]

  init(zone: TimeZone, asOf: Instant) {
    windows = ReportWindows(asOf: asOf)
    let from = windows.weekStart.microseconds / 60_000_000 - 5 * 1440
    let to = asOf.microseconds / 60_000_000 + 5 * 1440
    firstMinute = from
    wall = (from...to).map { minute in
      let offset = zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(minute) * 60))
      return minute + Int64(offset) / 60
    }
  }

  /// The UTC minute at which the wall showed `local`: the first or last time, or as far past the gap as `local`
  /// is into it.
  func minute(showing local: Int64, last: Bool) throws -> Int64 {
    if let index = last ? wall.lastIndex(of: local) : wall.firstIndex(of: local) {
      return firstMinute + Int64(index)
    }
    guard let past = wall.firstIndex(where: { $0 > local }), past > 0 else { throw OutOfRange() }
    return firstMinute + Int64(past - 1) + (local - wall[past - 1])
  }

  struct OutOfRange: Error {}

  func uptime(of store: World.Store) throws -> Uptime {
    let isOpen = try openMinutes(store)
    let polls = store.settledPolls.filter { $0.at <= windows.asOf }
    var next = 0
    var state = polls.first?.isActive
    var uptime = Uptime()
    for minute in windows.weekStart.microseconds / 60_000_000..<windows.asOf.microseconds / 60_000_000 {
      let now = Instant(seconds: minute * 60)
      while next < polls.count, polls[next].at <= now {
        state = polls[next].isActive
        next += 1
      }
      guard isOpen.contains(minute) else { continue }
      for (path, start) in [
        (\WindowTotals.week, windows.weekStart), (\.day, windows.dayStart), (\.hour, windows.hourStart),
      ] where now >= start {
        switch state {
        case true?: uptime.up[keyPath: path] += 60_000_000
        case false?: uptime.down[keyPath: path] += 60_000_000
        case nil: uptime.unknown[keyPath: path] += 60_000_000
        }
      }
    }
    return uptime
  }

  private func openMinutes(_ store: World.Store) throws -> Set<Int64> {
    let weekStart = windows.weekStart.microseconds / 60_000_000
    let asOf = windows.asOf.microseconds / 60_000_000
    if store.hours.isEmpty { return Set(weekStart..<asOf) }
    var minutes: Set<Int64> = []
    let lastDay = (wall.last ?? 0) / 1440
    for day in (wall.first ?? 0) / 1440 + 1...lastDay - 2 {
      for hours in store.hours where (day + 3) % 7 == hours.weekday {
        let closing = [1439 * 60, 86_399].contains(hours.end) ? 86_400 : hours.end
        let opens = day * 1440 + hours.start / 60
        let closes = day * 1440 + (closing <= hours.start ? closing + 86_400 : closing) / 60
        let from = try minute(showing: opens, last: false)
        let to = try minute(showing: closes, last: true)
        if from < to { minutes.formUnion(from..<to) }
      }
    }
    return minutes
  }
}
