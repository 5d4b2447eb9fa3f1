import Foundation

@testable import StoreSvc
@testable import TimeZones

/// A random world for the engine and its oracles: some stores in one zone, near a change of its clocks.
struct World {
  var zone: String
  var asOf: Instant
  var stores: [Store] = []

  struct Store {
    var hours: [(weekday: Int, start: Int64, end: Int64)]
    /// In the order they came in: not sorted, some twice, some contradicting an earlier one.
    var polls: [(at: Instant, isActive: Bool)]

    var schedule: WeeklySchedule {
      WeeklySchedule(hours.compactMap { OpenInterval(weekday: $0.weekday, start: $0.start, end: $0.end) })
    }

    /// As the database keeps them: by time, the last word on each instant.
    var settledPolls: [(at: Instant, isActive: Bool)] {
      var byInstant: [Instant: Bool] = [:]
      for poll in polls { byInstant[poll.at] = poll.isActive }
      return byInstant.sorted { $0.key < $1.key }.map { (at: $0.key, isActive: $0.value) }
    }
  }

  static let zones = [
    "America/New_York", "America/Chicago", "America/Phoenix", "America/St_Johns", "America/Sao_Paulo",
    "America/Havana", "Europe/London", "Europe/Dublin", "Africa/Casablanca", "Asia/Beirut", "Asia/Kolkata",
    "Asia/Tehran", "Australia/Lord_Howe", "Australia/Sydney", "Pacific/Chatham", "Antarctica/Troll",
    "Etc/UTC",
  ]

  /// `grid`: the smallest step of time in this world, in microseconds.
  init(seed: UInt64, storeCount: Int, grid: Int64) throws {
    var random = SplitMix(state: seed)
    zone = Self.zones[Int(seed) % Self.zones.count]
    // The past, about which every copy of the zone database agrees.
    let year = 2009 + Int(random.next() % 15)
    let somewhen = try Date("\(year)-01-01T00:00:00Z", strategy: .iso8601)
      .addingTimeInterval(Double(random.next() % 364) * 86_400)
    let change = TimeZone(identifier: zone)?.nextDaylightSavingTimeTransition(after: somewhen) ?? somewhen
    let near = Int64(change.timeIntervalSince1970) + Int64(random.next() % (10 * 86_400)) - 86_400
    let unit = grid
    func snapped(_ microseconds: Int64) -> Instant { Instant(microseconds: microseconds / unit * unit) }
    asOf = snapped(near * 1_000_000 + Int64(random.next() % 1_000_000))
    for _ in 0..<storeCount {
      var store = Store(hours: Self.hours(&random, onMinutes: grid % 60_000_000 == 0), polls: [])
      // From before the window to beyond asOf, so that carrying in and ignoring the future both happen.
      for _ in 0..<[0, 1, 2, 5, 40, 200][Int(random.next() % 6)] {
        let back = Int64(random.next() % UInt64(180 * 3600)) - 3 * 3600
        let at = snapped(asOf.microseconds - back * 1_000_000 - Int64(random.next() % 1_000_000))
        store.polls.append((at, random.next() % 4 != 0))
      }
      for _ in 0..<store.polls.count / 10 {
        let again = store.polls[Int(random.next() % UInt64(store.polls.count))]
        store.polls.append((again.at, random.next() % 2 == 0 ? again.isActive : !again.isActive))
      }
      stores.append(store)
    }
  }

  private static func hours(
    _ random: inout SplitMix, onMinutes: Bool
  ) -> [(weekday: Int, start: Int64, end: Int64)] {
    if random.next() % 8 == 0 { return [] }
    let step: UInt64 = onMinutes ? 60 : 1
    var hours: [(weekday: Int, start: Int64, end: Int64)] = []
    for weekday in 0...6 where random.next() % 6 != 0 {
      for _ in 0..<[1, 1, 1, 2, 3][Int(random.next() % 5)] {
        var start = Int64(random.next() % (86_400 / step) * step)
        // Most of what can go wrong with clocks happens between midnight and four.
        if random.next() % 3 == 0 { start %= 4 * 3600 }
        let choices: [Int64] = [
          86_400, 86_340, onMinutes ? 86_340 : 86_399, start, 0, start % 7200,
          Int64(random.next() % (86_400 / step) * step), min(start + 3600, 86_400), 9000, 10_800,
        ]
        hours.append((weekday, start, choices[Int(random.next() % UInt64(choices.count))]))
      }
    }
    return hours
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): a generator whose worlds are the same on every machine.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

extension TimeZoneRules {
  /// The zone as this machine has it.
  static func installed(_ name: String) throws -> TimeZoneRules {
    try TimeZoneRules(tzif: Array(Data(contentsOf: URL(filePath: "/usr/share/zoneinfo/\(name)"))))
  }
}

extension World {
  /// The engine's answer for every store.
  func engineUptimes() throws -> [Uptime] {
    let windows = ReportWindows(asOf: asOf)
    var openHours = OpenHours(windows: windows) { try TimeZoneRules.installed($0) }
    return try stores.map { store in
      var tally = StepTally(
        open: try openHours.ranges(zone: zone, schedule: store.schedule), windows: windows)
      for poll in store.settledPolls { tally.poll(at: poll.at, isActive: poll.isActive) }
      return tally.finish()
    }
  }
}
