import CoreMetrics
import Synchronization

/// A metric that can write itself in the Prometheus text format.
protocol Instrument: AnyObject, Sendable {
  init()
  /// The word after `# TYPE name`.
  var kind: String { get }
  func write(name: String, labels: String, into text: inout String)
}

extension Instrument {
  fileprivate func line(_ name: String, _ labels: String, _ value: some CustomStringConvertible) -> String {
    labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
  }
}

final class Counter: Instrument, CounterHandler {
  private let value = Atomic<Int64>(0)
  let kind = "counter"

  func increment(by amount: Int64) { value.add(amount, ordering: .relaxed) }
  func reset() { value.store(0, ordering: .relaxed) }
  func write(name: String, labels: String, into text: inout String) {
    text += line(name, labels, value.load(ordering: .relaxed))
  }
}

final class FloatingPointCounter: Instrument, FloatingPointCounterHandler {
  private let value = Mutex(0.0)
  let kind = "counter"

  func increment(by amount: Double) { value.withLock { $0 += amount } }
  func reset() { value.withLock { $0 = 0 } }
  func write(name: String, labels: String, into text: inout String) {
    text += line(name, labels, value.withLock { $0 })
  }
}

/// A value that goes up and down; also what a recorder without aggregation shows: the last value.
final class Gauge: Instrument, MeterHandler, RecorderHandler {
  private let value = Mutex(0.0)
  let kind = "gauge"

  func set(_ new: Int64) { set(Double(new)) }
  func set(_ new: Double) { value.withLock { $0 = new } }
  func increment(by amount: Double) { value.withLock { $0 += amount } }
  func decrement(by amount: Double) { value.withLock { $0 -= amount } }
  func record(_ value: Int64) { set(Double(value)) }
  func record(_ value: Double) { set(value) }
  func write(name: String, labels: String, into text: inout String) {
    text += line(name, labels, value.withLock { $0 })
  }
}

/// Durations in seconds, 50 µs to 10 s.
final class TimeHistogram: Instrument, TimerHandler {
  private let histogram = Histogram(
    bounds: [
      0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
      5, 10,
    ])
  let kind = "histogram"

  func recordNanoseconds(_ duration: Int64) { histogram.observe(Double(duration) / 1e9) }
  func write(name: String, labels: String, into text: inout String) {
    histogram.write(name: name, labels: labels, into: &text)
  }
}

/// Sizes and counts: powers of four from 1 to 2^30.
final class SizeHistogram: Instrument, RecorderHandler {
  private let histogram = Histogram(bounds: (0...15).map { Double(1 << (2 * $0)) })
  let kind = "histogram"

  func record(_ value: Int64) { histogram.observe(Double(value)) }
  func record(_ value: Double) { histogram.observe(value) }
  func write(name: String, labels: String, into text: inout String) {
    histogram.write(name: name, labels: labels, into: &text)
  }
}

/// Counts per bucket, summed up only when written.
private final class Histogram: Sendable {
  private struct State {
    var counts: [UInt64]
    var sum = 0.0
  }

  private let bounds: [Double]
  private let state: Mutex<State>

  init(bounds: [Double]) {
    self.bounds = bounds
    // One more for what lies above the last bound.
    self.state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
  }

  func observe(_ value: Double) {
    let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
    state.withLock {
      $0.counts[bucket] += 1
      $0.sum += value
    }
  }

  func write(name: String, labels: String, into text: inout String) {
    let (counts, sum) = state.withLock { ($0.counts, $0.sum) }
    let prefix = labels.isEmpty ? "" : labels + ","
    let suffix = labels.isEmpty ? "" : "{\(labels)}"
    var total: UInt64 = 0
    for (index, count) in counts.enumerated() {
      total += count
      let bound = index < bounds.count ? "\(bounds[index])" : "+Inf"
      text += "\(name)_bucket{\(prefix)le=\"\(bound)\"} \(total)\n"
    }
    text += "\(name)_sum\(suffix) \(sum)\n\(name)_count\(suffix) \(total)\n"
  }
}
