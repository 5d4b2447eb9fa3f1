import HTTP2
import NIOCore
import NIOEmbedded

@testable import RPC

/// A client connection with three calls under way.
final class FuzzedClient: HTTP2ConnectionDelegate {
  private var calls: [FuzzedCall] = []

  func connect() throws -> EmbeddedChannel {
    var configuration = HTTP2Configuration()
    configuration.streamWindowBytes = 64 << 10
    configuration.connectionWindowBytes = 256 << 10
    let http2 = HTTP2Connection(role: .client, configuration: configuration, delegate: self)
    let channel = EmbeddedChannel(handler: http2)
    channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
    for _ in 0..<3 {
      let call = FuzzedCall()
      call.stream = http2.open(Self.request, delegate: call)
      call.stream?.write(.lengthPrefix(flag: 0, length: 1), ByteBuffer(string: "m"))
      call.stream?.finish(trailers: nil)
      calls.append(call)
    }
    channel.embeddedEventLoop.run()
    return channel
  }

  private static let request: HeaderBlock = [
    ":method": "POST", ":scheme": "http", ":path": "/s/u", ":authority": "a", "te": "trailers",
    "content-type": "application/grpc",
  ]

  func accept(_ stream: HTTP2Stream) -> any HTTP2StreamDelegate {
    preconditionFailure("a server opens a stream")
  }
  func inboundBatchEnded() {}
  func settingsReceived() {}
  func goAwayReceived() {}
  func connectionClosed() {
    precondition(calls.allSatisfy(\.isClosed), "a call outlives its connection")
  }
}

/// A call that reads what it gets at once.
private final class FuzzedCall: HTTP2StreamDelegate {
  var stream: HTTP2Stream?
  private(set) var isClosed = false
  private var state = ClientAttemptState(maxMessageBytes: 64 << 10)

  func received(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    state.received(name: name, value: value)
  }

  func headersEnded(trailing: Bool) { perform(state.headersEnded()) }

  func received(data: UnsafeRawBufferPointer) {
    perform(state.received(data))
    do {
      while case .message = try state.next() {}
    } catch {
      perform(state.finish(error, reset: true))
    }
    stream?.consume(state.takeReturnable())
  }

  func inboundEnded() { perform(state.inboundEnded()) }
  func outboundMoved() {}

  func closed(_ code: HTTP2ErrorCode) {
    precondition(!isClosed, "a stream closes twice")
    isClosed = true
    perform(state.closed(code, reason: stream?.connection?.closeReason))
    precondition(state.isFinished)
    stream = nil
  }

  private func perform(_ action: ClientAttemptState.Action) {
    if case .finish(reset: true) = action { stream?.reset(.cancel) }
  }
}
