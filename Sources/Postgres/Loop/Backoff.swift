internal import NIOCore

/// The pauses between attempts to connect: none before the first, doubling from 50 ms to one second, each
/// shortened at random by up to half so that many clients do not return in step. Short on purpose: a database that
/// is back must be found within a few seconds.
struct Backoff {
  private var failures = 0

  mutating func next(using random: inout some RandomNumberGenerator) -> TimeAmount {
    defer { failures += 1 }
    guard failures > 0 else { return .zero }
    let whole: Int64 = min(50 << Int64(min(failures - 1, 10)), 1000)
    return .milliseconds(Int64.random(in: whole / 2...whole, using: &random))
  }

  mutating func reset() { failures = 0 }
}
