import HTTP2
import NIOCore
import NIOPosix
import NIOSSL

@testable import Edge

/// A client of HTTP/2 by our own module, for what needs no misbehaviour.
final class HTTP2Client: @unchecked Sendable {
  let channel: any Channel
  private let http2: NIOLoopBoundBox<HTTP2Connection>

  /// - Parameter tls: nil begins with HTTP/2 in plaintext.
  static func connect(to address: SocketAddress, tls: NIOSSLContext?) async throws -> HTTP2Client {
    let http2 = HTTP2Connection(role: .client, configuration: HTTP2Configuration(), delegate: Ignorant())
    let bound = NIOLoopBoundBox.makeBoxSendingValue(http2, eventLoop: loops.client.any())
    let channel = try await ClientBootstrap(group: bound.eventLoop)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if let tls {
            try channel.pipeline.syncOperations.addHandler(
              try NIOSSLClientHandler(context: tls, serverHostname: "localhost"))
          }
          try channel.pipeline.syncOperations.addHandler(bound.value)
        }
      }
      .connect(to: address).get()
    return HTTP2Client(channel, bound)
  }

  private init(_ channel: any Channel, _ http2: NIOLoopBoundBox<HTTP2Connection>) {
    self.channel = channel
    self.http2 = http2
  }

  /// - Parameter isHeld: whether the end of the body is kept back until `Call.end`.
  func begin(
    _ method: String, _ path: String, _ fields: [(String, String)] = [], body: String = "",
    isHeld: Bool = false
  ) async throws -> Call {
    try await channel.eventLoop.submit { [self] in
      var block = HeaderBlock()
      for (name, value) in [
        (":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path),
      ] + fields { block.add(name.utf8, value.utf8) }
      let call = Call(channel.eventLoop)
      guard let stream = http2.value.open(block, delegate: call) else {
        call.closed(.refusedStream)
        return call
      }
      call.stream = stream
      if !body.isEmpty { stream.write(.none, ByteBuffer(string: body)) }
      if !isHeld { stream.finish(trailers: nil) }
      return call
    }.get()
  }

  func request(
    _ method: String, _ path: String, _ body: String = "", headers: [(String, String)] = []
  ) async throws -> RawResponse {
    try await begin(method, path, headers, body: body).response()
  }

  func close() async throws { try await channel.close().get() }

  private final class Ignorant: HTTP2ConnectionDelegate {
    func accept(_ stream: HTTP2Stream) -> any HTTP2StreamDelegate {
      preconditionFailure("a client accepts no stream")
    }
    func inboundBatchEnded() {}
    func settingsReceived() {}
    func goAwayReceived() {}
    func connectionClosed() {}
  }

  struct StreamReset: Error {
    var code: HTTP2ErrorCode
  }

  /// A request and its answer, on the loop.
  final class Call: HTTP2StreamDelegate, @unchecked Sendable {
    fileprivate var stream: HTTP2Stream?
    private let answer: EventLoopPromise<RawResponse>
    private let eventLoop: any EventLoop
    private var found = RawResponse(status: 0, headers: [], bytes: [])
    private var isEnded = false
    /// What is read is given back to the window.
    private var isReading = true

    fileprivate init(_ eventLoop: any EventLoop) {
      self.eventLoop = eventLoop
      answer = eventLoop.makePromise()
    }

    /// - Throws: `StreamReset` when there was no answer, or not all of it.
    func response() async throws -> RawResponse { try await answer.futureResult.get() }

    func send(_ text: String) async throws {
      try await eventLoop.submit { _ = self.stream?.write(.none, ByteBuffer(string: text)) }.get()
    }

    func end(trailers: [(String, String)] = []) async throws {
      try await eventLoop.submit {
        var block = HeaderBlock()
        for (name, value) in trailers { block.add(name.utf8, value.utf8) }
        self.stream?.finish(trailers: trailers.isEmpty ? nil : block)
      }.get()
    }

    func cancel() async throws { try await eventLoop.submit { self.stream?.reset(.cancel) }.get() }
    func stopReading() async throws { try await eventLoop.submit { self.isReading = false }.get() }

    func received(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
      let (name, value) = (String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
      if name == ":status" { found.status = Int(value) ?? 0 } else { found.headers.append((name, value)) }
    }

    func headersEnded(trailing: Bool) {}

    func received(data: UnsafeRawBufferPointer) {
      found.bytes += data
      if isReading { stream?.consume(data.count) }
    }

    func inboundEnded() { isEnded = true }
    func outboundMoved() {}

    func closed(_ code: HTTP2ErrorCode) {
      if isEnded { answer.succeed(found) } else { answer.fail(StreamReset(code: code)) }
    }
  }
}
