import HTTP2
import Logging
import NIOCore
import NIOEmbedded

@testable import RPC

/// A server without a socket, whose handlers are of every shape and patience.
final class FuzzedServer {
  private let loop = EmbeddedEventLoop()
  private let core: ServerCore

  init() {
    var configuration = RPCServer.Configuration(address: .tcp(host: "127.0.0.1", port: 0))
    configuration.maxMessageBytes = 64 << 10
    configuration.http2.streamWindowBytes = 64 << 10
    configuration.http2.connectionWindowBytes = 256 << 10
    let service = ServiceDefinition(name: "s", methods: [.echo, .echoAll, .refuse, .wait])
    core = ServerCore(
      methods: MethodTable([service], configuration: configuration), configuration: configuration,
      eventLoopGroup: loop, admit: { _, _ in }, logger: Self.logger)
  }

  private static let logger = Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }

  func accept() throws -> EmbeddedChannel {
    let channel = EmbeddedChannel(loop: loop)
    try core.accepted(channel)
    channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
    return channel
  }

  /// Nothing is left of a connection that has ended.
  func checkQuiet() {
    precondition(running == 0, "\(running) handlers outlive their connection")
    precondition(core.beginDraining().isEmpty, "a connection is still known that has ended")
  }
}

/// Handlers begun and not ended; all of this is on one thread.
nonisolated(unsafe) private var running = 0

private func counted(_ body: () async throws -> Void) async rethrows {
  running += 1
  defer { running -= 1 }
  try await body()
}

extension MethodDefinition {
  fileprivate static let echo = MethodDefinition(
    name: "u", access: .public, handler: .unary { message, _ in message })

  fileprivate static let echoAll = MethodDefinition(
    name: "e", access: .public,
    handler: .streaming { requests, responses, _ in
      try await counted { for try await message in requests { try await responses.write(message) } }
    })

  fileprivate static let refuse = MethodDefinition(
    name: "r", access: .public,
    handler: .unary { message, context in
      context.setTrailingMetadata("x", String(buffer: message))
      throw RPCError(.invalidArgument, String(buffer: message), reason: "R", retryAfter: .seconds(1))
    })

  /// Ends when its client goes.
  fileprivate static let wait = MethodDefinition(
    name: "w", access: .public,
    handler: .streaming { _, _, _ in
      await counted {
        let (never, _) = AsyncStream<Never>.makeStream()
        for await _ in never {}
      }
    })
}
