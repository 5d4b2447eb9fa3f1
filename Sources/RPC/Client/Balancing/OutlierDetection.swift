import NIOCore

/// Takes addresses out of rotation whose calls fail while those of others do not (gRFC A50), each event loop judging
/// by its own calls.
///
/// A50's two algorithms compare many servers over an interval. They do not notice one of three that hangs, and would
/// take ten seconds to; so there is a third, known from Envoy: so many failures in a row.
package struct OutlierDetection: Sendable {
  /// Between two looks at the counts.
  package var interval: Duration = .seconds(10)
  /// How long an address stays out, times how often it was ejected of late.
  package var baseEjectionTime: Duration = .seconds(30)
  package var maxEjectionTime: Duration = .seconds(300)
  /// Nothing more is ejected while more than this part of the addresses is out; so one always may be.
  package var maxEjectionPercent = 10
  /// Failures one after the other, with no success between, that eject at once. Only while another address is in
  /// rotation: to fail is better than not to try. Zero turns it off.
  package var consecutiveFailures = 5
  package var successRate: SuccessRate? = SuccessRate()
  package var failurePercentage: FailurePercentage? = FailurePercentage()

  package init() {}

  /// Ejects addresses whose part of successes is far below the mean.
  package struct SuccessRate: Sendable {
    /// Thousandths of a standard deviation below the mean.
    package var stdevFactor = 1900
    /// Addresses that must have had `requestVolume` calls in the interval.
    package var minimumHosts = 5
    package var requestVolume = 100

    package init() {}
  }

  /// Ejects addresses with more than this part of failures, whatever the others do.
  package struct FailurePercentage: Sendable {
    package var threshold = 85
    package var minimumHosts = 5
    /// Calls an address must have had in the interval.
    package var requestVolume = 50

    package init() {}
  }
}

/// What became of the calls to one address.
struct Outcomes: Equatable {
  private(set) var successes = 0
  private(set) var failures = 0
  private(set) var consecutiveFailures = 0
  private(set) var ejectedAt: NIODeadline?
  /// How often it was ejected of late: up by one with each ejection, down by one with each interval without.
  private(set) var multiplier = 0

  var isEjected: Bool { ejectedAt != nil }
  fileprivate var volume: Int { successes + failures }
  fileprivate var successRate: Double { Double(successes) / Double(volume) }

  /// Counts a call that has ended. Only what says that the server is in trouble counts against it: NOT_FOUND or
  /// INVALID_ARGUMENT are the answers of one that works. True for a failure.
  mutating func record(_ code: StatusCode) -> Bool {
    switch code {
    case .unavailable, .deadlineExceeded, .internal, .unknown, .dataLoss:
      failures += 1
      consecutiveFailures += 1
      return true
    case .cancelled:
      return false
    default:
      successes += 1
      consecutiveFailures = 0
      return false
    }
  }

  /// Ends an ejection early; the next one will be as long as if it had not ended.
  mutating func readmit() { ejectedAt = nil }

  fileprivate mutating func eject(at now: NIODeadline) {
    ejectedAt = now
    multiplier += 1
    consecutiveFailures = 0
  }

  fileprivate mutating func endInterval(at now: NIODeadline, _ detection: OutlierDetection) {
    successes = 0
    failures = 0
    guard let ejectedAt else {
      multiplier = max(0, multiplier - 1)
      return
    }
    let time = min(
      detection.baseEjectionTime * multiplier, max(detection.baseEjectionTime, detection.maxEjectionTime))
    if ejectedAt + TimeAmount(time) <= now { self.ejectedAt = nil }
  }
}

extension OutlierDetection {
  /// A call to `host` has failed: ejects it if it was one too many. `others` are in rotation besides it.
  func failed(_ host: Int, of hosts: inout [Outcomes], others: Int, at now: NIODeadline) {
    guard consecutiveFailures > 0, hosts[host].consecutiveFailures >= consecutiveFailures, others > 0
    else { return }
    eject(host, of: &hosts, at: now)
  }

  /// An interval has ended: ejects, and brings back those that were out long enough.
  func intervalEnded(_ hosts: inout [Outcomes], at now: NIODeadline) {
    if let successRate { eject(by: successRate, &hosts, at: now) }
    if let failurePercentage { eject(by: failurePercentage, &hosts, at: now) }
    for index in hosts.indices { hosts[index].endInterval(at: now, self) }
  }

  private func eject(by rule: SuccessRate, _ hosts: inout [Outcomes], at now: NIODeadline) {
    let rates = hosts.filter { $0.volume >= rule.requestVolume }.map(\.successRate)
    guard rates.count >= rule.minimumHosts, !rates.isEmpty else { return }
    let mean = rates.reduce(0, +) / Double(rates.count)
    let variance = rates.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rates.count)
    let least = mean - variance.squareRoot() * Double(rule.stdevFactor) / 1000
    for index in hosts.indices
    where hosts[index].volume >= rule.requestVolume && hosts[index].successRate < least {
      eject(index, of: &hosts, at: now)
    }
  }

  private func eject(by rule: FailurePercentage, _ hosts: inout [Outcomes], at now: NIODeadline) {
    guard hosts.count >= rule.minimumHosts else { return }
    for index in hosts.indices where hosts[index].volume >= max(rule.requestVolume, 1) {
      if hosts[index].failures * 100 > hosts[index].volume * rule.threshold {
        eject(index, of: &hosts, at: now)
      }
    }
  }

  private func eject(_ host: Int, of hosts: inout [Outcomes], at now: NIODeadline) {
    let ejected = hosts.count(where: \.isEjected)
    guard !hosts[host].isEjected, ejected * 100 <= maxEjectionPercent * hosts.count else { return }
    hosts[host].eject(at: now)
  }
}
