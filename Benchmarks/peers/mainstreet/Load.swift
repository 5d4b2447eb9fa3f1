import ArgumentParser
import CoreMetrics
import Foundation
import Logging
import MainstreetAPI
import NIOCore
import NIOPosix
import RPC
import ServiceKit

/// Callers that each wait for an answer before they ask again, on one event loop and one connection.
struct Load: ParsableCommand {
  @Option(help: "The server: host:port or unix:/path.") var target: String
  @Option(help: "Calls to make.") var calls = 100_000
  @Option(help: "Callers.") var callers = 64
  @Option(help: "Bytes of the message's text.") var bytes = 116

  func run() throws {
    blocking { try await load() }
  }

  private func load() async throws {
    // Counted and timed as every client of ours is.
    MetricsSystem.bootstrap(MetricsRegistry())
    let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let client = RPCClient(
      target: try RPCAddress(target), eventLoopGroup: loops, logger: Logger(label: "bench"))
    let request = Echo(service: String(repeating: "x", count: bytes))
    let loop = loops.next()
    // Where the calls of a service are made: on the loop of the connection.
    let executor = try await loop.submit { EventLoopTaskExecutor.current(on: loop) }.get()
    let callers = callers
    let method = client.method("/bench.Bench/Unary")

    @Sendable func make(_ count: Int) async throws -> [Int64] {
      try await withThrowingTaskGroup(of: [Int64].self) { group in
        for _ in 0..<callers {
          group.addTask(executorPreference: executor) {
            var latencies: [Int64] = []
            for _ in 0..<count / callers {
              let start = NIODeadline.now()
              let response: ClientResponse<Echo> = try await client.unary(
                method, request, CallOptions(deadline: start + .seconds(20)))
              precondition(response.message.service.utf8.count == request.service.utf8.count)
              latencies.append((NIODeadline.now() - start).nanoseconds)
            }
            return latencies
          }
        }
        return try await group.reduce(into: []) { $0 += $1 }
      }
    }

    _ = try await make(calls / 10)
    let start = NIODeadline.now()
    let cpuBefore = cpuSeconds()
    let latencies = try await make(calls).sorted()
    let cpu = cpuSeconds() - cpuBefore
    let seconds = Double((NIODeadline.now() - start).nanoseconds) / 1e9
    report(latencies, seconds, cpu)
  }

  private func report(_ latencies: [Int64], _ seconds: Double, _ cpu: Double) {
    func percentile(_ share: Double) -> Double {
      Double(latencies[Int(Double(latencies.count - 1) * share)]) / 1e6
    }
    print(
      """
      {"calls": \(latencies.count), "seconds": \(seconds), "cpu_seconds": \(cpu), \
      "p50_ms": \(percentile(0.5)), "p99_ms": \(percentile(0.99))}
      """)
  }
}

/// What the process has used of the processors so far.
private func cpuSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
