import CoreMetrics
import Testing

@testable import ServiceKit

@Suite struct MetricsRegistryTests {
  @Test("The same name and labels are the same series")
  func counters() {
    let registry = MetricsRegistry()
    registry.makeCounter(label: "calls_total", dimensions: [("method", "Get")]).increment(by: 2)
    registry.makeCounter(label: "calls_total", dimensions: [("method", "Get")]).increment(by: 3)
    registry.makeCounter(label: "calls_total", dimensions: [("method", "a\"b\n")]).increment(by: 1)
    #expect(
      registry.exposition() == """
        # TYPE calls_total counter
        calls_total{method="Get"} 5
        calls_total{method="a\\"b\\n"} 1

        """)
  }

  @Test("A timer is a histogram in seconds, cumulative up to +Inf")
  func histogram() {
    let registry = MetricsRegistry()
    let timer = registry.makeTimer(label: "duration_seconds", dimensions: [])
    for nanoseconds in [40_000, 3_000_000, 20_000_000_000] as [Int64] { timer.recordNanoseconds(nanoseconds) }
    let lines = registry.exposition().split(separator: "\n")
    #expect(lines.contains("duration_seconds_bucket{le=\"5e-05\"} 1"))
    #expect(lines.contains("duration_seconds_bucket{le=\"0.005\"} 2"))
    #expect(lines.contains("duration_seconds_bucket{le=\"10.0\"} 2"))
    #expect(lines.contains("duration_seconds_bucket{le=\"+Inf\"} 3"))
    #expect(lines.contains("duration_seconds_count 3"))
  }

  @Test("A gauge shows its last value")
  func gauge() {
    let registry = MetricsRegistry()
    let meter = registry.makeMeter(label: "in.flight", dimensions: [])
    meter.increment(by: 3)
    meter.decrement(by: 1)
    #expect(registry.exposition() == "# TYPE in_flight gauge\nin_flight 2.0\n")
  }
}
