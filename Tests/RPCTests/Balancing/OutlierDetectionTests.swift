import NIOCore
import Testing

@testable import RPC

@Suite("Outlier detection") struct OutlierDetectionTests {
  private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
  private let detection = OutlierDetection()

  /// A host with so many calls of the interval behind it.
  private func host(successes: Int, failures: Int = 0) -> Outcomes {
    var outcomes = Outcomes()
    for _ in 0..<failures { _ = outcomes.record(.unavailable) }
    for _ in 0..<successes { _ = outcomes.record(.ok) }
    return outcomes
  }

  private func ejected(_ hosts: [Outcomes]) -> [Int] { hosts.indices.filter { hosts[$0].isEjected } }

  @Test("ejects after five failures in a row, at once")
  func consecutive() {
    var hosts = [Outcomes](repeating: Outcomes(), count: 3)
    for count in 1...5 {
      _ = hosts[1].record(.deadlineExceeded)
      detection.failed(1, of: &hosts, others: 2, at: start)
      #expect(ejected(hosts) == (count < 5 ? [] : [1]))
    }
  }

  @Test(
    "begins to count anew with each answer of a server that works",
    arguments: [StatusCode.ok, .notFound, .invalidArgument, .permissionDenied, .resourceExhausted])
  func answered(code: StatusCode) {
    var outcomes = Outcomes()
    for _ in 0..<4 { _ = outcomes.record(.unavailable) }
    let isFailure = outcomes.record(code)
    #expect(!isFailure)
    #expect(outcomes.consecutiveFailures == 0)
  }

  @Test("learns nothing from a call that its caller cancelled")
  func cancelled() {
    var outcomes = host(successes: 0, failures: 4)
    let isFailure = outcomes.record(.cancelled)
    #expect(!isFailure)
    #expect(outcomes == host(successes: 0, failures: 4))
  }

  @Test("does not eject the last one in rotation for failures in a row")
  func last() {
    var hosts = [host(successes: 0, failures: 50)]
    detection.failed(0, of: &hosts, others: 0, at: start)
    #expect(ejected(hosts) == [])
  }

  @Test(
    "ejects no more than its part of the addresses, but always one",
    arguments: [(2, 1), (3, 1), (10, 2), (40, 5)])
  func maxPercent(count: Int, limit: Int) {
    // A50: it stops when more than a tenth are out, so it may go one beyond.
    var hosts = [Outcomes](repeating: host(successes: 0, failures: 5), count: count)
    for index in hosts.indices { detection.failed(index, of: &hosts, others: count, at: start) }
    #expect(ejected(hosts) == Array(0..<limit))
  }

  @Test("ejects by success rate what is far below the others, given five with a hundred calls each")
  func successRate() {
    func outliers(good: Int, calls: Int) -> [Int] {
      var detection = detection
      detection.failurePercentage = nil
      var hosts = [Outcomes](repeating: host(successes: calls), count: good)
      hosts.append(host(successes: calls * 7 / 10, failures: calls * 3 / 10))
      detection.intervalEnded(&hosts, at: start)
      return ejected(hosts)
    }
    #expect(outliers(good: 9, calls: 100) == [9])
    #expect(outliers(good: 9, calls: 90) == [])
    #expect(outliers(good: 3, calls: 100) == [])
    // Among five the one is itself so much of the deviation that 1.9 of it is never reached.
    #expect(outliers(good: 4, calls: 100) == [4])
  }

  @Test("ejects by success rate nothing when all fail alike")
  func allAlike() {
    var hosts = [Outcomes](repeating: host(successes: 50, failures: 50), count: 8)
    detection.intervalEnded(&hosts, at: start)
    #expect(ejected(hosts) == [])
  }

  @Test(
    "ejects by failure percentage above 85, given five addresses and fifty calls",
    arguments: [
      (5, 14, 86, true), (5, 15, 85, false), (4, 0, 100, false), (5, 0, 49, false), (5, 0, 50, true),
    ])
  func failurePercentage(count: Int, successes: Int, failures: Int, isEjected: Bool) {
    var detection = detection
    detection.successRate = nil
    var hosts = [Outcomes](repeating: host(successes: 100), count: count - 1)
    hosts.append(host(successes: successes, failures: failures))
    detection.intervalEnded(&hosts, at: start)
    #expect(ejected(hosts) == (isEjected ? [count - 1] : []))
  }

  @Test("brings back after 30 seconds, after 60 the second time, and after 300 at most")
  func back() {
    func secondsOut(_ hosts: inout [Outcomes], from start: inout NIODeadline) -> Int {
      for _ in 0..<5 { _ = hosts[0].record(.unavailable) }
      detection.failed(0, of: &hosts, others: 1, at: start)
      var intervals = 0
      while hosts[0].isEjected, intervals < 100 {
        intervals += 1
        start = start + .seconds(10)
        detection.intervalEnded(&hosts, at: start)
      }
      return intervals * 10
    }
    var hosts = [Outcomes](repeating: Outcomes(), count: 2)
    var now = start
    let times = (1...12).map { _ in secondsOut(&hosts, from: &now) }
    #expect(times == [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300])
    // Each good interval shortens the next ejection.
    for _ in 0..<11 { detection.intervalEnded(&hosts, at: now) }
    let last = secondsOut(&hosts, from: &now)
    #expect(last == 60)
  }

  @Test("counts each interval for itself")
  func intervals() {
    var hosts = [Outcomes](repeating: host(successes: 0, failures: 49), count: 1)
    hosts += [Outcomes](repeating: host(successes: 100), count: 5)
    detection.intervalEnded(&hosts, at: start)
    for _ in 0..<49 { _ = hosts[0].record(.internal) }
    detection.intervalEnded(&hosts, at: start + .seconds(10))
    #expect(ejected(hosts) == [])
  }
}
