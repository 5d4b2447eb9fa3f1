import ArgumentParser
import GrpcTesting
import NIOCore
import RPC
import Synchronization

struct Load: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Makes unary calls, each caller one after the other; tells each second what became of them.",
    discussion: """
      Prints a line of JSON a second and one at the end for the whole:
      {"second":1,"calls":51234,"failures":{"UNAVAILABLE":2},"p50_ms":0.21,"p99_ms":0.93}
      """)

  @OptionGroup
  var target: Target

  @Option(help: "Seconds the load lasts.")
  var seconds = 10

  @Option(help: "Calls under way at once.")
  var callers = 10

  @Option(help: "Milliseconds each call may take.")
  var deadlineMs: Int64 = 1000

  @Option(help: "Bytes of the response's payload.")
  var responseSize: Int32 = 100

  func run() async throws {
    try await target.withClient { client in
      let tally = Tally()
      await withTaskGroup { group in
        for _ in 0..<callers { group.addTask { await call(TestServiceClient(client), tally) } }
        var whole = Outcomes()
        for second in 1...max(1, seconds) {
          try? await Task.sleep(for: .seconds(1))
          let outcomes = tally.take()
          say(outcomes.line("\"second\":\(second)"))
          whole.add(outcomes)
          if Task.isCancelled { break }
        }
        group.cancelAll()
        say(whole.line("\"summary\":true"))
      }
    }
  }

  private func call(_ service: TestServiceClient, _ tally: Tally) async {
    let request = SimpleRequest(responseSize: responseSize)
    while !Task.isCancelled {
      let start = NIODeadline.now()
      var code = StatusCode.ok
      do {
        _ = try await service.unaryCall(
          request, options: CallOptions(deadline: start + .milliseconds(deadlineMs)))
      } catch {
        code = (error as? RPCError)?.code ?? .unknown
      }
      // The end of the load cuts off the last calls.
      if !Task.isCancelled { tally.add(code, after: NIODeadline.now() - start) }
    }
  }
}

/// What became of calls.
private struct Outcomes {
  private var failures: [StatusCode: Int] = [:]
  private var microseconds: [Int32] = []

  mutating func add(_ code: StatusCode, after time: TimeAmount) {
    if code != .ok { failures[code, default: 0] += 1 }
    microseconds.append(Int32(clamping: time.nanoseconds / 1000))
  }

  mutating func add(_ other: Outcomes) {
    failures.merge(other.failures, uniquingKeysWith: +)
    microseconds += other.microseconds
  }

  func line(_ head: String) -> String {
    let sorted = microseconds.sorted()
    func percentile(_ share: Double) -> Double {
      sorted.isEmpty ? 0 : Double(sorted[Int(Double(sorted.count - 1) * share)]) / 1000
    }
    let failures = failures.map { "\"\($0.name)\":\($1)" }.sorted().joined(separator: ",")
    return
      "{\(head),\"calls\":\(sorted.count),\"failures\":{\(failures)},\"p50_ms\":\(percentile(0.5)),\"p99_ms\":\(percentile(0.99))}"
  }
}

private final class Tally: Sendable {
  private let outcomes = Mutex(Outcomes())

  func add(_ code: StatusCode, after time: TimeAmount) { outcomes.withLock { $0.add(code, after: time) } }

  func take() -> Outcomes {
    outcomes.withLock { outcomes in
      defer { outcomes = Outcomes() }
      return outcomes
    }
  }
}
