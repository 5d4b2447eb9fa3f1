/// What has become of the calls of one method since the server was made.
package struct MethodStatistics: Sendable, Hashable {
  /// Full path, e.g. `/mainstreet.store.v1.StoreService/GetStore`; `unknown` stands for all calls of methods that
  /// are not there.
  package let method: String
  package var started = 0
  /// Calls that have ended, by the number of their status code.
  package var ended = [Int](repeating: 0, count: StatusCode.allCases.count)
  /// Calls by how long they took: an element per bound, not summed up, and one for what took longer.
  package var durations = [Int](repeating: 0, count: durationBounds.count + 1)
  package var totalDuration = Duration.zero
  package var requestMessages = 0
  package var requestBytes = 0
  package var responseMessages = 0
  package var responseBytes = 0

  package var inFlight: Int { max(0, started - ended.reduce(0, +)) }

  /// The upper bounds of the buckets of `durations`.
  package static let durationBounds: [Duration] = MethodCounters.bounds.map { .nanoseconds($0) }

  init(method: String) { self.method = method }
}

/// What one event loop has counted of one method. Added to on that loop only.
final class MethodCounters: Sendable {
  /// Nanoseconds: 10 µs to 10 s, for a call may take no longer than either.
  static let bounds: [Int] = [
    10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
    25_000_000,
    50_000_000, 100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000,
    10_000_000_000,
  ]

  // Where each counter is; codes and durations take several places.
  private static let started = 0
  private static let requestMessages = 1
  private static let requestBytes = 2
  private static let responseMessages = 3
  private static let responseBytes = 4
  private static let nanoseconds = 5
  private static let codes = 6
  private static let durations = codes + StatusCode.allCases.count

  private let counters = LoopCounters(count: durations + bounds.count + 1)

  func began() {
    counters.add(1, at: Self.started)
  }

  func received(bytes: Int) {
    counters.add(1, at: Self.requestMessages)
    counters.add(bytes, at: Self.requestBytes)
  }

  func sent(bytes: Int) {
    counters.add(1, at: Self.responseMessages)
    counters.add(bytes, at: Self.responseBytes)
  }

  func ended(_ code: StatusCode, after nanoseconds: Int) {
    counters.add(1, at: Self.codes + code.rawValue)
    counters.add(nanoseconds, at: Self.nanoseconds)
    // The fast calls, of which there are many, are found first.
    let bucket = Self.bounds.firstIndex { nanoseconds <= $0 } ?? Self.bounds.count
    counters.add(1, at: Self.durations + bucket)
  }

  func add(to statistics: inout MethodStatistics) {
    // Endings before beginnings, or calls might seem to have ended that never began.
    for code in statistics.ended.indices { statistics.ended[code] += counters[Self.codes + code] }
    for bucket in statistics.durations.indices {
      statistics.durations[bucket] += counters[Self.durations + bucket]
    }
    statistics.totalDuration += .nanoseconds(counters[Self.nanoseconds])
    statistics.started += counters[Self.started]
    statistics.requestMessages += counters[Self.requestMessages]
    statistics.requestBytes += counters[Self.requestBytes]
    statistics.responseMessages += counters[Self.responseMessages]
    statistics.responseBytes += counters[Self.responseBytes]
  }
}
