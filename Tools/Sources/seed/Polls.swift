extension World {
  /// No poll is newer, in microseconds since 1970: 2023-01-25 18:13:22.479220 UTC.
  static let end = 1_674_670_402_479_220

  private struct Poll {
    var store: Int32
    var isActive: Bool
    var at: Int
  }

  /// Writes exactly `count` polls, hour after hour until `end`; a few come twice, contradict one another, or out of
  /// order.
  func writePolls(count: Int, random: inout SplitMix, to file: inout TextFile) {
    file.write("store_id,status,timestamp_utc\n")
    let polled = stores.indices.filter { stores[$0].isPolled }
    guard count > 0, !polled.isEmpty else { return }
    var isUp = stores.map { _ in !random.happens(40) }
    let hours = (count + polled.count - 1) / polled.count
    var waiting: [Poll] = []
    waiting.reserveCapacity(Self.disorder + 2)
    var left = count
    for hour in 0..<hours {
      let tick = Self.end - (hours - 1 - hour) * 3_600_000_000
      for store in polled where left > 0 {
        // An outage lasts about five hours.
        if random.happens(isUp[store] ? 8 : 200) { isUp[store].toggle() }
        let poll = Poll(
          store: Int32(store), isActive: isUp[store], at: tick - random.below(25 * 60 * 1_000_000))
        waiting.append(poll)
        left -= 1
        if left > 0, random.happens(4) {
          waiting.append(Poll(store: poll.store, isActive: poll.isActive != random.happens(100), at: poll.at))
          left -= 1
        }
        while waiting.count > Self.disorder { write(takeAny(from: &waiting, &random), to: &file) }
      }
    }
    while !waiting.isEmpty { write(takeAny(from: &waiting, &random), to: &file) }
  }

  /// So many polls may overtake one.
  private static let disorder = 4096

  private func takeAny(from waiting: inout [Poll], _ random: inout SplitMix) -> Poll {
    waiting.swapAt(random.below(waiting.count), waiting.count - 1)
    return waiting.removeLast()
  }

  private func write(_ poll: Poll, to file: inout TextFile) {
    file.write(stores[Int(poll.store)].id)
    file.write(poll.isActive ? ",active," : ",inactive,")
    file.writeTimestamp(poll.at)
    file.write(" UTC\n")
  }
}

extension TextFile {
  /// `2023-01-22 12:09:39.388884`; like the source of the real data without zeros at the end, and without a
  /// fraction when it is none.
  mutating func writeTimestamp(_ microseconds: Int) {
    let seconds = microseconds / 1_000_000
    // Civil date from days (H. Hinnant), for days after 1970.
    let days = seconds / 86_400 + 719_468
    let era = days / 146_097
    let dayOfEra = days - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    write(yearOfEra + era * 400 + (month <= 2 ? 1 : 0), width: 4)
    writeByte("-")
    write(month, width: 2)
    writeByte("-")
    write(dayOfYear - (153 * shifted + 2) / 5 + 1, width: 2)
    writeByte(" ")
    writeTime(seconds % 86_400)
    var fraction = microseconds % 1_000_000
    guard fraction > 0 else { return }
    var width = 6
    while fraction % 10 == 0 {
      fraction /= 10
      width -= 1
    }
    writeByte(".")
    write(fraction, width: width)
  }
}
