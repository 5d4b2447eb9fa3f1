/// Pause before the next connection attempt: exponential, with jitter. The numbers are gRPC's (connection-backoff.md).
package struct Backoff: Sendable {
  package var initial: Duration = .seconds(1)
  package var maximum: Duration = .seconds(120)
  package var multiplier = 1.6
  package var jitter = 0.2

  package init() {}

  /// The pause after `failures` failed attempts in a row, at least one. `random` is in -1...1.
  func pause(failures: Int, random: Double) -> Duration {
    var pause = initial
    for _ in 1..<max(failures, 1) where pause < maximum { pause = pause * multiplier }
    return min(pause, maximum) * (1 + jitter * random)
  }
}
