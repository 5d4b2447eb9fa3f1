package import CoreMetrics
import Synchronization

/// The process's metrics, kept in memory and written out in the Prometheus text format (version 0.0.4)
/// when `/metrics` is asked for. One handler per name and labels, however often it is made.
package final class MetricsRegistry: MetricsFactory {
  private struct Series: Hashable {
    let name: String
    /// Rendered: `method="GET",status="200"`.
    let labels: String
  }

  private let instruments = Mutex<[Series: any Instrument]>([:])

  package init() {}

  package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    instrument(label, dimensions, Counter.self)
  }
  package func makeFloatingPointCounter(
    label: String, dimensions: [(String, String)]
  ) -> any FloatingPointCounterHandler {
    instrument(label, dimensions, FloatingPointCounter.self)
  }
  package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
    instrument(label, dimensions, Gauge.self)
  }
  package func makeRecorder(
    label: String, dimensions: [(String, String)], aggregate: Bool
  ) -> any RecorderHandler {
    aggregate ? instrument(label, dimensions, SizeHistogram.self) : instrument(label, dimensions, Gauge.self)
  }
  package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    instrument(label, dimensions, TimeHistogram.self)
  }
  // A series lives as long as the process: Prometheus reads a vanished counter as a reset.
  package func destroyCounter(_ handler: any CounterHandler) {}
  package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
  package func destroyMeter(_ handler: any MeterHandler) {}
  package func destroyRecorder(_ handler: any RecorderHandler) {}
  package func destroyTimer(_ handler: any TimerHandler) {}

  /// Everything, in the text exposition format, ordered by name.
  package func exposition() -> String {
    let all = instruments.withLock { $0 }
    let byName = Dictionary(grouping: all, by: \.key.name).sorted { $0.key < $1.key }
    var text = ""
    for (name, series) in byName {
      guard let kind = series.first?.value.kind else { continue }
      text += "# TYPE \(name) \(kind)\n"
      for (key, instrument) in series.sorted(by: { $0.key.labels < $1.key.labels }) {
        instrument.write(name: key.name, labels: key.labels, into: &text)
      }
    }
    return text
  }

  private func instrument<I: Instrument>(
    _ label: String, _ dimensions: [(String, String)], _ type: I.Type
  ) -> I {
    let labels = dimensions.map { "\(Self.sanitized($0.0))=\"\(Self.escaped($0.1))\"" }
    let series = Series(name: Self.sanitized(label), labels: labels.joined(separator: ","))
    return instruments.withLock { all in
      if let known = all[series] as? I { return known }
      let new = I()
      // A name used for two kinds is a mistake in the code; the first keeps the name.
      if all[series] == nil { all[series] = new }
      return new
    }
  }

  private static func sanitized(_ name: String) -> String {
    String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") ? $0 : "_" })
  }

  static func escaped(_ value: String) -> String {
    value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}
