import NIOCore
import NIOPosix
import NIOSSL

@testable import Edge

/// An answer as it came over the wire.
struct RawResponse: Sendable {
  var status: Int
  var headers: [(name: String, value: String)]
  var bytes: [UInt8]
  var body: String { String(decoding: bytes, as: UTF8.self) }
  /// False when the connection ended before the body did.
  var isComplete = true

  subscript(name: String) -> String? {
    headers.first { $0.name.lowercased() == name.lowercased() }?.value
  }

  /// The text of a string member of the body.
  func member(_ name: String) -> String? {
    Transcoding.value(of: name, in: body)?.trimmingQuotes
  }
}

extension String {
  fileprivate var trimmingQuotes: String {
    hasPrefix("\"") && hasSuffix("\"") && count > 1 ? String(dropFirst().dropLast()) : self
  }
}

/// A socket and nothing that knows HTTP between it and the test, which can so send what no client library would.
actor RawClient {
  nonisolated let channel: any Channel
  private let received: AsyncStream<ByteBuffer>
  private var bytes: [UInt8] = []
  private var isAtEnd = false

  static func connect(
    to address: SocketAddress, autoRead: Bool = true, tls: NIOSSLContext? = nil
  ) async throws -> RawClient {
    let (stream, continuation) = AsyncStream<ByteBuffer>.makeStream()
    let channel = try await ClientBootstrap(group: loops.client)
      .channelOption(.autoRead, value: autoRead)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if let tls {
            try channel.pipeline.syncOperations.addHandler(
              try NIOSSLClientHandler(context: tls, serverHostname: "localhost"))
          }
          try channel.pipeline.syncOperations.addHandler(Collector(continuation))
        }
      }
      .connect(to: address).get()
    return RawClient(channel, stream)
  }

  private init(_ channel: any Channel, _ received: AsyncStream<ByteBuffer>) {
    self.channel = channel
    self.received = received
  }

  nonisolated func send(_ text: String) async throws {
    try await channel.writeAndFlush(ByteBuffer(string: text)).get()
  }

  nonisolated func send(_ bytes: [UInt8]) async throws {
    try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
  }

  nonisolated func close() async throws {
    try await channel.close().get()
  }

  func request(
    _ method: String, _ path: String, _ body: String? = nil, headers: [String] = []
  ) async throws -> RawResponse {
    var text = "\(method) \(path) HTTP/1.1\r\nHost: test\r\n"
    for header in headers { text += header + "\r\n" }
    if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
    text += "\r\n" + (body ?? "")
    try? await send(text)
    guard let response = await response(hasBody: method != "HEAD") else { throw ConnectionEnded() }
    return response
  }

  struct ConnectionEnded: Error {}

  /// The next answer, nil when the connection ends before there is one.
  ///
  /// - Parameter onProgress: shown what has come of a body in chunks, after each.
  func response(hasBody: Bool = true, onProgress: ([UInt8]) async -> Void = { _ in }) async -> RawResponse? {
    guard let head = await take(through: "\r\n\r\n") else { return nil }
    let lines = head.split(separator: "\r\n")
    var headers: [(name: String, value: String)] = []
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      headers.append((String(parts[0]), parts[1].drop { $0 == " " }.description))
    }
    var response = RawResponse(
      status: Int(lines[0].split(separator: " ")[1]) ?? 0, headers: headers, bytes: [])
    if !hasBody || !response.status.hasBody { return response }
    if let length = response["content-length"].flatMap({ Int($0) }) {
      let body = await take(length)
      response.bytes = body ?? []
      response.isComplete = body != nil
    } else if response["transfer-encoding"] == "chunked" {
      while true {
        // To Swift the two bytes of a line's end are one character.
        guard let line = await take(through: "\r\n"), let size = Int(line.dropLast(), radix: 16),
          let chunk = await take(size), await take(2) != nil
        else {
          response.isComplete = false
          break
        }
        if size == 0 { break }
        response.bytes += chunk
        await onProgress(response.bytes)
      }
    } else {
      while await receive() {}
      response.bytes = bytes
      bytes = []
    }
    return response
  }

  /// Whether the server ends the connection without another byte.
  func isClosed() async -> Bool {
    while await receive() {}
    return bytes.isEmpty
  }

  private func take(through mark: String) async -> String? {
    let mark = Array(mark.utf8)
    var searched = 0
    while true {
      if bytes.count >= mark.count {
        for start in max(0, searched)...(bytes.count - mark.count)
        where bytes[start] == mark[0] && bytes[start..<start + mark.count].elementsEqual(mark) {
          return await take(start + mark.count).map { String(decoding: $0, as: UTF8.self) }
        }
        searched = bytes.count - mark.count + 1
      }
      guard await receive() else { return nil }
    }
  }

  func take(_ count: Int) async -> [UInt8]? {
    while bytes.count < count { guard await receive() else { return nil } }
    defer { bytes.removeFirst(count) }
    return Array(bytes[..<count])
  }

  private func receive() async -> Bool {
    if isAtEnd { return false }
    var iterator = received.makeAsyncIterator()
    guard let buffer = await iterator.next(isolation: self) else {
      isAtEnd = true
      return false
    }
    bytes.append(contentsOf: buffer.readableBytesView)
    return true
  }
}

private final class Collector: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  private let continuation: AsyncStream<ByteBuffer>.Continuation

  init(_ continuation: AsyncStream<ByteBuffer>.Continuation) { self.continuation = continuation }
  func channelRead(context: ChannelHandlerContext, data: NIOAny) { continuation.yield(unwrapInboundIn(data)) }
  func channelInactive(context: ChannelHandlerContext) { continuation.finish() }
  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
