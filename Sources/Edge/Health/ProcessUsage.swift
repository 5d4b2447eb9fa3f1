import Glibc
import NIOCore
import ServiceKit

/// What the kernel says this process uses.
struct ProcessUsage: Sendable {
  private(set) var residentBytes = 0
  private(set) var peakBytes = 0
  /// Seconds of CPU in a second, between the last two measurements.
  private(set) var cpu = 0.0
  let cores = System.coreCount

  private var measuredAt: ContinuousClock.Instant?
  private var seconds = 0.0

  mutating func measure() {
    let (used, peakBytes) = ProcessMetrics.usage()
    self.peakBytes = peakBytes
    residentBytes = Self.resident() ?? peakBytes
    let now = ContinuousClock.now
    if let measuredAt, now > measuredAt { cpu = max(0, used - seconds) / ((now - measuredAt) / .seconds(1)) }
    measuredAt = now
    seconds = used
  }

  /// `cpu` with three digits behind the point.
  var text: String {
    let thousandths = Int(cpu * 1000)
    return "\(thousandths / 1000).\(String(thousandths % 1000 + 1000).dropFirst())"
  }

  /// The second number of `/proc/self/statm`, in pages.
  private static func resident() -> Int? {
    guard let file = fopen("/proc/self/statm", "r") else { return nil }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    guard fgets(&line, Int32(line.count), file) != nil else { return nil }
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let fields = text.split(separator: " ")
    return fields.count > 1 ? Int(fields[1]).map { $0 * Int(sysconf(Int32(_SC_PAGESIZE))) } : nil
  }
}
