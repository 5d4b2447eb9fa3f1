import HTTP2
import NIOCore
import NIOPosix

@testable import RPC

/// A call made without our client: its client never ends it, and how its stream ended is
/// seen as it was on the wire.
final class RawCall: HTTP2StreamDelegate {
  struct Ending: Sendable {
    /// Headers and trailers.
    var fields: [String] = []
    var hasEnded = false
    /// Of the RST_STREAM.
    var code = HTTP2ErrorCode.noError
  }

  private var ending = Ending()
  private let closed: EventLoopPromise<Ending>

  private init(_ closed: EventLoopPromise<Ending>) { self.closed = closed }

  static func ending(of path: String, timeout: String?, at address: RPCAddress) async throws
    -> Ending
  {
    guard case .tcp(let host, let port) = address else { throw ChannelError.unknownLocalAddress }
    let loop = loops.client.any()
    let closed = loop.makePromise(of: Ending.self)
    let channel = try await ClientBootstrap(group: loop)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let http2 = HTTP2Connection(role: .client, configuration: HTTP2Configuration(), delegate: Client())
          try channel.pipeline.syncOperations.addHandler(http2)
        }
      }
      .connect(host: host, port: port).get()
    try await channel.eventLoop.submit {
      var block: HeaderBlock = [":method": "POST", ":scheme": "http", ":authority": "test"]
      block.add(":path", path.utf8)
      block.add("content-type", "application/grpc")
      if let timeout { block.add("grpc-timeout", timeout.utf8) }
      let http2 = try channel.pipeline.syncOperations.handler(type: HTTP2Connection.self)
      _ = http2.open(block, delegate: RawCall(closed))
    }.get()
    let ending = try await closed.futureResult.get()
    try await channel.close()
    return ending
  }

  func received(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    ending.fields.append(
      "\(String(decoding: name, as: UTF8.self)): \(String(decoding: value, as: UTF8.self))")
  }
  func headersEnded(trailing: Bool) {}
  func received(data: UnsafeRawBufferPointer) {}
  func inboundEnded() { ending.hasEnded = true }
  func outboundMoved() {}
  func closed(_ code: HTTP2ErrorCode) {
    ending.code = code
    closed.succeed(ending)
  }
}

private final class Client: HTTP2ConnectionDelegate {
  func accept(_ stream: HTTP2Stream) -> any HTTP2StreamDelegate {
    preconditionFailure("a client accepts none")
  }
  func inboundBatchEnded() {}
  func settingsReceived() {}
  func goAwayReceived() {}
  func connectionClosed() {}
}
