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
    /// Fails when the next stream of the connection is here.
    case failAtNext(RPCError, pushback: String? = nil)
    /// Fails after the response headers.
    case failLate(RPCError)
    /// RST_STREAM.
    case reset(HTTP2ErrorCode)
    /// A GOAWAY that names no stream as seen.
    case goAway
    /// Closes the connection.
    case hangUp
    /// The messages that follow the headers of an answer are these bytes, as they are.
    case answer([UInt8])
    case silence

    /// RST_STREAM(REFUSED_STREAM).
    static let refuse = Act.reset(.refusedStream)
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
          let connection = Connection(server, channel)
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
  let server: ScriptedServer
  let channel: any Channel
  /// What is to happen when the next stream is here.
  var atNext: [() -> Void] = []

  init(_ server: ScriptedServer, _ channel: any Channel) {
    self.server = server
    self.channel = channel
  }

  func accept(_ stream: HTTP2Stream) -> any HTTP2StreamDelegate { Exchange(stream, self) }
  func inboundBatchEnded() {}
  func settingsReceived() {}
  func goAwayReceived() {}
  func connectionClosed() {}
}

private final class Exchange: HTTP2StreamDelegate {
  private let stream: HTTP2Stream
  private let connection: Connection
  private var server: ScriptedServer { connection.server }
  private var act = ScriptedServer.Act.silence
  private var previous = ""
  private var received = ByteBuffer()

  init(_ stream: HTTP2Stream, _ connection: Connection) {
    self.stream = stream
    self.connection = connection
  }

  func received(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    if name.equals("grpc-previous-rpc-attempts") { previous = String(decoding: value, as: UTF8.self) }
  }

  func headersEnded(trailing: Bool) {
    act = server.next(previous: previous)
    let atNext = connection.atNext
    connection.atNext = []
    for act in atNext { act() }
    switch act {
    case .echo, .failOnData, .silence:
      break
    case .fail(let error, let pushback):
      fail(error, pushback)
    case .failAtNext(let error, let pushback):
      connection.atNext.append { self.fail(error, pushback) }
    case .failLate(let error):
      stream.respond(.responseHeaders, endStream: false)
      stream.finish(trailers: .trailers(error, [:]))
    case .reset(let code):
      stream.reset(code)
    case .goAway:
      _ = nghttp2_submit_goaway(stream.connection?.session, 0, 0, 0, nil, 0)
    case .hangUp:
      // Not from within a callback of the session that would go with it.
      connection.channel.eventLoop.execute { [channel = connection.channel] in channel.close(promise: nil) }
    case .answer(let bytes):
      stream.respond(.responseHeaders, endStream: false)
      stream.write(.none, ByteBuffer(bytes: bytes))
      stream.finish(trailers: .okTrailers)
    }
  }

  private func fail(_ error: RPCError, _ pushback: String?) {
    var metadata = Metadata()
    metadata["grpc-retry-pushback-ms"] = pushback
    stream.respond(.trailersOnly(error, metadata), endStream: true)
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
