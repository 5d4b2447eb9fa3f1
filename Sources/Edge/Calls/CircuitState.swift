import NIOCore

/// Whether a service is called at all: not while most of its calls fail, so that it can recover, and nobody waits for
/// what will fail. Times in, decisions out.
struct CircuitState {
  struct Limits: Sendable {
    /// Calls are judged by how those of so long came out…
    var window: TimeAmount = .seconds(10)
    /// …if there were so many…
    var leastCalls = 10
    /// …and this part of them failed.
    var failures = 0.5
    /// So long no call is made; then one, to see.
    var pause: TimeAmount = .seconds(1)
  }

  enum Admission: Equatable {
    case pass
    /// The one call to see whether the service is back.
    case probe
    case refuse(retryAfter: TimeAmount)
  }

  enum Outcome: Equatable {
    /// The service answered, be it with an error of the caller's.
    case answered
    /// It did not, or not in time.
    case failed
    /// The caller did not wait for either.
    case abandoned
  }

  enum Change: Equatable {
    case opened, closed
  }

  private enum Phase: Equatable {
    case closed
    case open(until: NIODeadline)
    /// A probe is on its way. One that has not come back by then is not waited for.
    case probing(until: NIODeadline)
  }

  private struct Slice {
    var number: Int64 = -1
    var calls = 0
    var failures = 0
  }

  private static let sliceCount = 10

  let limits: Limits
  private var phase = Phase.closed
  /// The window in slices; one that is older than the window is forgotten.
  private var slices = [Slice](repeating: Slice(), count: sliceCount)

  init(_ limits: Limits = Limits()) {
    self.limits = limits
  }

  var isClosed: Bool { phase == .closed }

  mutating func admit(_ now: NIODeadline) -> Admission {
    switch phase {
    case .closed: return .pass
    case .open(let until) where now < until, .probing(let until) where now < until:
      return .refuse(retryAfter: until - now)
    case .open, .probing:
      phase = .probing(until: now + limits.pause)
      return .probe
    }
  }

  /// - Parameter admission: what the call was let in as.
  mutating func ended(_ admission: Admission, _ outcome: Outcome, _ now: NIODeadline) -> Change? {
    if case .probe = admission { return probeEnded(outcome, now) }
    // Those that began before it opened say nothing new.
    guard phase == .closed, outcome != .abandoned else { return nil }
    let width = max(1, limits.window.nanoseconds / Int64(Self.sliceCount))
    let number = Int64(now.uptimeNanoseconds) / width
    let index = Int(number % Int64(Self.sliceCount))
    if slices[index].number != number { slices[index] = Slice(number: number) }
    slices[index].calls += 1
    guard outcome == .failed else { return nil }
    slices[index].failures += 1
    let recent = slices.filter { $0.number > number - Int64(Self.sliceCount) }
    let calls = recent.reduce(0) { $0 + $1.calls }
    let failures = recent.reduce(0) { $0 + $1.failures }
    guard calls >= limits.leastCalls, Double(failures) >= limits.failures * Double(calls) else { return nil }
    phase = .open(until: now + limits.pause)
    return .opened
  }

  private mutating func probeEnded(_ outcome: Outcome, _ now: NIODeadline) -> Change? {
    guard phase != .closed else { return nil }
    switch outcome {
    case .answered:
      phase = .closed
      slices = [Slice](repeating: Slice(), count: Self.sliceCount)
      return .closed
    case .failed: phase = .open(until: now + limits.pause)
    // The next call is a probe.
    case .abandoned: phase = .open(until: now)
    }
    return nil
  }
}
