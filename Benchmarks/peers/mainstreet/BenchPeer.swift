import ArgumentParser
import CoreMetrics
import Foundation
import Logging
import MainstreetAPI
import NIOCore
import NIOPosix
import RPC
import ServiceKit
import ServiceLifecycle
import UnixSignals

/// Our side of `./dev bench rpc`: the echo service and the load of its client, as the other peers have them.
@main
struct BenchPeer: ParsableCommand {
  static let configuration = CommandConfiguration(subcommands: [Serve.self, Stores.self, Load.self])
}

/// The message of all peers, one string in field 1. Ours is generated for the platform's own protos only, so it goes
/// by the name of one of these.
typealias Echo = HealthCheckRequest

struct Serve: ParsableCommand {
  @Option(help: "Where to listen: host:port or unix:/path.") var listen = "127.0.0.1:0"
  @Option(help: "Event loops.") var threads = 1
  @Option(help: "Messages a stream is answered with.") var messages = 1000

  func run() throws {
    blocking { try await serve() }
  }

  private func serve() async throws {
    // Counted and timed as every service of ours is.
    MetricsSystem.bootstrap(MetricsRegistry())
    let logger = Logger(label: "bench")
    let messages = messages
    let service = ServiceDefinition(
      name: "bench.Bench",
      methods: [
        .unary("Unary", access: .public) { (request: Echo, _) in request },
        .serverStreaming("Stream", access: .public) {
          (request: Echo, responses: ResponseWriter<Echo>, _) in
          for _ in 0..<messages { try await responses.write(request) }
        },
      ])
    let admission = Admission(verifier: PrincipalVerifier())
    let server = RPCServer(
      services: [service], configuration: RPCServer.Configuration(address: try RPCAddress(listen)),
      eventLoopGroup: MultiThreadedEventLoopGroup(numberOfThreads: threads),
      admit: { try admission.admit($0, $1) }, logger: logger)
    let group = ServiceGroup(services: [server], gracefulShutdownSignals: [.sigterm], logger: logger)
    async let running: Void = group.run()
    if let port = try await server.boundAddress.port {
      try FileHandle.standardOutput.write(contentsOf: Data("\(port)\n".utf8))
    }
    try await running
  }
}

/// Runs `body` while the main thread sleeps. An `async` main would hand that thread to libdispatch, where valgrind, which
/// counts instructions and allocations for us, does not follow.
func blocking(_ body: @escaping @Sendable () async throws -> Void) {
  let done = DispatchSemaphore(value: 0)
  Task {
    do {
      try await body()
    } catch {
      FileHandle.standardError.write(Data("\(error)\n".utf8))
      exit(1)
    }
    done.signal()
  }
  done.wait()
}
