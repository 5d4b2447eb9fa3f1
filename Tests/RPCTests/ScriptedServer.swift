import CNghttp2
import NIOCore
import NIOPosix
import Synchronization

@testable import HTTP2
@testable import RPC

/// A server that does with each stream what a script says, on the wire like any other, and remembers the streams.
final class ScriptedServer: Sendable {
  enum Act: Sendable {
    /// What was sent comes back, as it was framed.
    case echo
    case fail(RPCError, pushback: String? = nil)
    /// Fails when the first bytes of the request are here.
    case failOnData(RPCError)
    /// Fails after the response headers.
    case failLate(RPCError)
    /// RST_STREAM(REFUSED_STREAM).
    case refuse
    /// A GOAWAY that names no stream as seen.
    case goAway
    case silence
  }

  /// The streams so far: the value of `grpc-previous-rpc-attempts`, or "".
  var attempts: [String] { state.withLock { $0 } }
  /// Raised when a stream that got silence was cancelled.
  let cancelled = Signal()

  private let script: @Sendable (Int) -> Act
  private let state = Mutex<[String]>([])

  private init(_ script: @escaping @Sendable (Int) -> Act) {
    self.script = script
  }

  /// The last act goes on for ever.
  static func run<Result>(
    _ acts: Act..., body: (ScriptedServer, RPCAddress) async throws -> Result
  ) async throws -> Result {
    try await run(script: { acts[min($0, acts.count - 1)] }, body: body)
  }

  static func run<Result>(
    script: @escaping @Sendable (Int) -> Act, body: (ScriptedServer, RPCAddress) async throws -> Result
  ) async throws -> Result {
    let server = ScriptedServer(script)
    let listener = try await ServerBootstrap(group: loops.server)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let connection = Connection(server)
          try channel.pipeline.syncOperations.addHandler(
            HTTP2Connection(role: .server, configuration: HTTP2Configuration(), delegate: connection))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    do {
      let result = try await body(server, .tcp(host: "127.0.0.1", port: listener.localAddress?.port ?? 0))
      try await listener.close()
      return result
    } catch {
      try await listener.close()
      throw error
    }
  }

  fileprivate func next(previous: String) -> Act {
    state.withLock { attempts in
      attempts.append(previous)
      return script(attempts.count - 1)
    }
  }
}

private final class Connection: HTTP2ConnectionDelegate {
  private let server: ScriptedServer

  init(_ server: ScriptedServer) { self.server = server }

  func accept(_ stream: HTTP2Stream) -> any HTTP2StreamDelegate { Exchange(stream, server) }
  func inboundBatchEnded() {}
  func settingsReceived() {}
  func goAwayReceived() {}
  func connectionClosed() {}
}

private final class Exchange: HTTP2StreamDelegate {
  private let stream: HTTP2Stream
  private let server: ScriptedServer
  private var act = ScriptedServer.Act.silence
  private var previous = ""
  private var received = ByteBuffer()

  init(_ stream: HTTP2Stream, _ server: ScriptedServer) {
    self.stream = stream
    self.server = server
  }

  func received(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    if name.equals("grpc-previous-rpc-attempts") { previous = String(decoding: value, as: UTF8.self) }
  }

  func headersEnded(trailing: Bool) {
    act = server.next(previous: previous)
    switch act {
    case .echo, .failOnData, .silence:
      break
    case .fail(let error, let pushback):
      var metadata = Metadata()
      metadata["grpc-retry-pushback-ms"] = pushback
      stream.respond(.trailersOnly(error, metadata), endStream: true)
    case .failLate(let error):
      stream.respond(.responseHeaders, endStream: false)
      stream.finish(trailers: .trailers(error, [:]))
    case .refuse:
      stream.reset(.refusedStream)
    case .goAway:
      _ = nghttp2_submit_goaway(stream.connection?.session, 0, 0, 0, nil, 0)
    }
  }

  func received(data: UnsafeRawBufferPointer) {
    received.writeBytes(data)
    stream.consume(data.count)
    if case .failOnData(let error) = act { stream.respond(.trailersOnly(error, [:]), endStream: true) }
  }

  func inboundEnded() {
    guard case .echo = act else { return }
    stream.respond(.responseHeaders, endStream: false)
    stream.write(.none, received)
    stream.finish(trailers: .okTrailers)
  }

  func outboundMoved() {}

  func closed(_ code: HTTP2ErrorCode) {
    guard case .silence = act, code == .cancel else { return }
    Task { [server] in await server.cancelled.raise() }
  }
}
