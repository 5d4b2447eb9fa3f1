import HTTP2
import NIOCore
import NIOPosix

@testable import RPC

/// A server that refuses the first streams it is sent and answers the others with an empty message, on the wire
/// like any other.
final class RefusingServer: HTTP2ConnectionDelegate, @unchecked Sendable {
  private let refusals: Int
  private let seen: Count

  private init(refusals: Int, seen: Count) {
    self.refusals = refusals
    self.seen = seen
  }

  static func run<Result>(
    refusals: Int, seen: Count, body: (RPCAddress) async throws -> Result
  ) async throws -> Result {
    let listener = try await ServerBootstrap(group: loops.server)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let server = RefusingServer(refusals: refusals, seen: seen)
          try channel.pipeline.syncOperations.addHandler(
            HTTP2Connection(role: .server, configuration: HTTP2Configuration(), delegate: server))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let result = try await body(.tcp(host: "127.0.0.1", port: listener.localAddress?.port ?? 0))
    try await listener.close()
    return result
  }

  func accept(_ stream: HTTP2Stream) -> any HTTP2StreamDelegate {
    Exchange(stream, isRefused: seen.add(1) <= refusals)
  }
  func inboundBatchEnded() {}
  func settingsReceived() {}
  func goAwayReceived() {}
  func connectionClosed() {}

  private final class Exchange: HTTP2StreamDelegate {
    private let stream: HTTP2Stream
    private let isRefused: Bool

    init(_ stream: HTTP2Stream, isRefused: Bool) {
      self.stream = stream
      self.isRefused = isRefused
    }

    func received(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {}
    func headersEnded(trailing: Bool) { if isRefused { stream.reset(.refusedStream) } }
    func received(data: UnsafeRawBufferPointer) { stream.consume(data.count) }
    func inboundEnded() {
      stream.respond(.responseHeaders, endStream: false)
      stream.write(.lengthPrefix(flag: 0, length: 0), ByteBuffer())
      stream.finish(trailers: .okTrailers)
    }
    func outboundMoved() {}
    func closed(_ code: HTTP2ErrorCode) {}
  }
}
