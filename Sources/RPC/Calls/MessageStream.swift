package import NIOCore

/// Where the messages of a stream come from: a call, seen from the server or from the client.
protocol MessageSource: AnyObject, Sendable {
  /// The next message, or `nil` after the last one. Suspends while there is none; while messages wait to be
  /// read their bytes stay charged to the stream's flow-control window, so a slow reader slows the peer.
  func nextMessage() async throws -> ByteBuffer?
}

/// Messages arriving on a call. Iterate it once.
package struct MessageStream<Element: Sendable>: AsyncSequence, Sendable {
  private let source: any MessageSource
  private let decode: @Sendable (ByteBuffer) throws -> Element

  init(source: any MessageSource, decode: @escaping @Sendable (ByteBuffer) throws -> Element) {
    self.source = source
    self.decode = decode
  }

  package struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let stream: MessageStream

    package mutating func next() async throws -> Element? {
      guard let bytes = try await stream.source.nextMessage() else { return nil }
      return try stream.decode(bytes)
    }

    package mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(any Error) -> Element? {
      guard let bytes = try await stream.source.nextMessage() else { return nil }
      return try stream.decode(bytes)
    }
  }

  package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self) }
}

extension MessageStream<ByteBuffer> {
  init(source: any MessageSource) {
    self.init(source: source, decode: { $0 })
  }

  /// The same stream with each message decoded when it is taken, and validated if it is a request.
  package func decoded<Message: RPC.Message>(
    as type: Message.Type = Message.self, validating: Bool
  ) -> MessageStream<Message> {
    MessageStream<Message>(source: source) { bytes in
      try validating ? Message(request: bytes) : Message(response: bytes)
    }
  }

  /// A stream of messages that are already here, for calling a handler without a connection.
  package init(_ messages: [ByteBuffer]) {
    self.init(source: ReadyMessages(messages))
  }
}

private actor ReadyMessages: MessageSource {
  private var messages: ArraySlice<ByteBuffer>
  init(_ messages: [ByteBuffer]) { self.messages = messages[...] }
  func nextMessage() -> ByteBuffer? { messages.popFirst() }
}

package typealias RequestStream<Element: Sendable> = MessageStream<Element>
