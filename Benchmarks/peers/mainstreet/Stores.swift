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

/// The two calls of StoreService that `./dev bench edge` makes, from memory: what is behind an Edge that is to be measured
/// alone.
struct Stores: ParsableCommand {
  @Option(help: "Where to listen: host:port or unix:/path.") var listen = "127.0.0.1:0"

  func run() throws {
    blocking { try await serve() }
  }

  private func serve() async throws {
    MetricsSystem.bootstrap(MetricsRegistry())
    let logger = Logger(label: "bench")
    let service = ServiceDefinition(
      name: "mainstreet.store.v1.StoreService",
      methods: [
        .unary("GetStore", access: .public) { (request: GetStoreRequest, _) in Self.store(request.storeId) },
        .unary("RecordPoll", access: .public) { (request: RecordPollRequest, _) in
          RecordPollResponse(
            storeId: request.storeId, status: request.status, timestamp: request.timestamp, outcome: .recorded
          )
        },
      ])
    let server = RPCServer(
      services: [service], configuration: RPCServer.Configuration(address: try RPCAddress(listen)),
      eventLoopGroup: MultiThreadedEventLoopGroup(numberOfThreads: 1), admit: { _, _ in }, logger: logger)
    let group = ServiceGroup(services: [server], gracefulShutdownSignals: [.sigterm], logger: logger)
    async let running: Void = group.run()
    if let port = try await server.boundAddress.port {
      try FileHandle.standardOutput.write(contentsOf: Data("\(port)\n".utf8))
    }
    try await running
  }

  /// A shop that is open all week.
  private static func store(_ id: String) -> Store {
    Store(
      storeId: id, name: "Corner Bakery", timezone: "America/Chicago", externalId: "8419537941919820732",
      createdAt: Timestamp(seconds: 1_749_895_200, nanos: 479_220_000),
      updatedAt: Timestamp(seconds: 1_749_895_200),
      businessHours: (0..<7).map { BusinessHours(dayOfWeek: $0, startTime: "09:00:00", endTime: "17:30:00") })
  }
}
