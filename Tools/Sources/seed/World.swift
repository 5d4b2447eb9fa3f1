/// Stores with their zones and hours. The proportions are those of the public data set the service is proved on.
struct World {
  struct Store {
    var id: [UInt8]
    /// Missing for one in forty.
    var zone: String?
    /// Missing for one in five: open around the clock.
    var hours: [Hours]
    /// One in seventeen was never polled.
    var isPolled: Bool
  }

  struct Hours {
    /// 0 is Monday.
    var day: Int
    var start: Int
    var end: Int
  }

  private(set) var stores: [Store] = []

  private static let zones: [(String, weight: Int)] = [
    ("America/New_York", 604), ("America/Los_Angeles", 238), ("America/Chicago", 112),
    ("America/Phoenix", 31),
    ("America/Denver", 9), ("America/Detroit", 5), ("America/Indiana/Indianapolis", 2), ("America/Boise", 1),
    ("Pacific/Honolulu", 1), ("Asia/Beirut", 1), ("Europe/London", 1), ("Asia/Kolkata", 1),
    ("Australia/Lord_Howe", 1),
  ]

  init(storeCount: Int, random: inout SplitMix) {
    // Chains share their hours: a sixth as many schedules as stores.
    let schedules = (0..<max(1, storeCount / 6)).map { _ in Self.week(&random) }
    stores.reserveCapacity(storeCount)
    for number in 0..<storeCount {
      // The number at the end keeps ids apart without a search.
      let id = Array(String(random.next() >> 2 / 100_000 * 100_000 + UInt64(number)).utf8)
      stores.append(
        Store(
          id: id, zone: random.happens(25) ? nil : random.choose(Self.zones),
          hours: random.happens(200) ? [] : schedules[random.below(schedules.count)],
          isPolled: !random.happens(60)))
    }
  }

  private static func week(_ random: inout SplitMix) -> [Hours] {
    let opensDays = random.choose([(7, weight: 814), (6, weight: 130), (5, weight: 40), (3, weight: 16)])
    let firstClosed = random.below(7)
    let usual = day(&random)
    var hours: [Hours] = []
    for offset in 0..<opensDays {
      let weekday = (firstClosed + 7 - offset) % 7
      for (start, end) in random.happens(150) ? day(&random) : usual {
        hours.append(Hours(day: weekday, start: start, end: end))
      }
    }
    return hours
  }

  /// The openings of one day, in seconds since midnight.
  private static func day(_ random: inout SplitMix) -> [(Int, Int)] {
    let quarter = 900
    let opens = (6 * 4 + random.below(20)) * quarter
    let closes = min(opens + (24 + random.below(40)) * quarter, 86_400 - quarter)
    return random.choose([
      ([(opens, closes)], weight: 560),
      // How forms without 24:00 say midnight.
      ([(opens, 86_399)], weight: 120),
      ([(opens, 86_340)], weight: 110),
      ([(0, 86_399)], weight: 40),
      // Past midnight, said in two pieces, or in one that ends before it starts.
      ([(0, 3600 + random.below(12) * quarter), (opens, 86_340)], weight: 90),
      ([(opens, random.below(12) * quarter)], weight: 30),
      // A break, and pieces that overlap.
      ([(opens, opens + 3 * 3600), (opens + 4 * 3600, opens + 7 * 3600)], weight: 40),
      ([(opens, closes), (opens + 3600, closes)], weight: 10),
    ])
  }

  func writeTimezones(to file: inout TextFile) {
    file.write("store_id,timezone_str\n")
    for store in stores {
      guard let zone = store.zone else { continue }
      file.write(store.id)
      file.write(",\(zone)\n")
    }
  }

  func writeHours(to file: inout TextFile) {
    file.write("store_id,day,start_time_local,end_time_local\n")
    for store in stores {
      for hours in store.hours {
        file.write(store.id)
        file.write(",\(hours.day)")
        for time in [hours.start, hours.end] {
          file.writeByte(",")
          file.writeTime(time)
        }
        file.writeByte("\n")
      }
    }
  }
}

extension TextFile {
  /// `HH:MM:SS`
  mutating func writeTime(_ second: Int) {
    write(second / 3600, width: 2)
    writeByte(":")
    write(second / 60 % 60, width: 2)
    writeByte(":")
    write(second % 60, width: 2)
  }
}
