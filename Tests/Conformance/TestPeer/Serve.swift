import ArgumentParser
import GrpcTesting
import Logging
import MainstreetAPI
import NIOCore
import NIOPosix
import RPC
import ServiceKit
import ServiceLifecycle
import UnixSignals

struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serves grpc.testing.TestService, health and reflection until SIGTERM, then drains.")

  @Option(help: "Where to listen: host:port or unix:/path. With port 0 the kernel chooses.")
  var listen = "127.0.0.1:0"

  @Option(help: "A file to write, once serving, with the address really bound, as JSON.")
  var readyFile: String?

  @Option(help: "Event loops.")
  var threads = 1

  @Option(help: "Seconds that running calls get to finish after SIGTERM.")
  var drainGrace = 5

  @Option(help: "Seconds for the request of a call that takes one message to arrive.")
  var requestTimeout: Double?

  @Option(help: "Connections open at once.")
  var maxConnections: Int?

  @OptionGroup var timers: ConnectionTimerOptions
  @OptionGroup var security: ServerTLSOptions

  func run() async throws {
    FileDescriptors.raiseLimit()
    let logger = Logger(label: "TestPeer") { StreamLogHandler.standardError(label: $0) }
    let readiness = Readiness(
      promised: ["grpc"], readyFile: readyFile.map { ReadyFile(path: $0, logger: logger) })
    // The services and the configuration are those of a service that is told nothing, with what the flags change.
    // Descriptor sets one after the other are one.
    let handlers = RunningHandlers()
    let services = try [InteropService().serviceDefinition, handlers.serviceDefinition].withStandardServices(
      readiness: readiness, reflecting: descriptorSet + testingDescriptorSet)
    var configuration = RPCServer.Configuration(address: try RPCAddress(listen))
    configuration.shutdownGrace = .seconds(drainGrace)
    if let requestTimeout { configuration.requestTimeout = .seconds(requestTimeout) }
    if let maxConnections { configuration.maxConnections = maxConnections }
    timers.apply(to: &configuration.http2)
    configuration.tls = try security.tls
    let server = RPCServer(
      services: services, configuration: configuration,
      eventLoopGroup: MultiThreadedEventLoopGroup(numberOfThreads: threads), admit: { _, _ in },
      logger: logger)
    handlers.server = server
    try await ServiceGroup(
      services: [server, Announcement(server: server, readiness: readiness)],
      gracefulShutdownSignals: [.sigterm, .sigint], logger: logger
    ).run()
  }
}

/// Tells where the server listens, and before it drains that it will.
private struct Announcement: Service {
  let server: RPCServer
  let readiness: Readiness

  func run() async throws {
    readiness.announce("grpc", at: try await server.boundAddress)
    try? await gracefulShutdown()
    readiness.drain()
  }
}
