import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import GRPCProtobuf
import NIOPosix

extension Peer {
  /// Callers that each wait for an answer before they ask again, on one event loop and one connection.
  static func load(port: Int, calls: Int, callers: Int, bytes: Int) async throws {
    let transport = try HTTP2ClientTransport.Posix(
      target: .ipv4(address: "127.0.0.1", port: port), transportSecurity: .plaintext,
      eventLoopGroup: MultiThreadedEventLoopGroup(numberOfThreads: 1))
    try await withGRPCClient(transport: transport) { client in
      var request = Bench_Echo()
      request.text = String(repeating: "x", count: bytes)
      let message = request

      @Sendable func make(_ count: Int) async throws -> [Double] {
        try await withThrowingTaskGroup(of: [Double].self) { group in
          for _ in 0..<callers {
            group.addTask {
              var options = CallOptions.defaults
              options.timeout = .seconds(20)
              var latencies: [Double] = []
              for _ in 0..<count / callers {
                let start = ContinuousClock.now
                let response = try await client.unary(
                  request: ClientRequest(message: message), descriptor: BenchService.unary,
                  serializer: ProtobufSerializer<Bench_Echo>(),
                  deserializer: ProtobufDeserializer<Bench_Echo>(),
                  options: options
                ) { try $0.message }
                precondition(response.text.utf8.count == message.text.utf8.count)
                latencies.append((ContinuousClock.now - start) / .milliseconds(1))
              }
              return latencies
            }
          }
          return try await group.reduce(into: []) { $0 += $1 }
        }
      }

      _ = try await make(calls / 10)
      let start = ContinuousClock.now
      let before = cpuSeconds()
      let latencies = try await make(calls).sorted()
      let cpu = cpuSeconds() - before
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      func percentile(_ share: Double) -> Double { latencies[Int(Double(latencies.count - 1) * share)] }
      print(
        """
        {"calls": \(latencies.count), "seconds": \(seconds), "cpu_seconds": \(cpu), \
        "p50_ms": \(percentile(0.5)), "p99_ms": \(percentile(0.99))}
        """)
    }
  }
}

/// What the process has used of the processors so far.
private func cpuSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
