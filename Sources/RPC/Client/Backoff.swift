/// Pause before the next connection attempt: exponential, with jitter.
package struct Backoff: Sendable {
  /// gRPC's own table (connection-backoff.md) starts at 1 s and ends at 120 s, made for servers across the
  /// Internet. Ours are a rack away, and one that restarted should be found within a second.
  package var initial: Duration = .milliseconds(100)
  package var maximum: Duration = .seconds(1)
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
