import NIOCore

/// The metadata of a call as the client learns it.
protocol ResponseMetadata: AnyObject, Sendable {
  func initialMetadata() async throws -> Metadata
  func trailingMetadata() async -> Metadata
  func isMessageCompressed() async -> Bool
}

/// What a server sends on a call: headers, messages, trailers. Iteration throws the `RPCError` the call ended
/// with, if it did not end well.
package struct ResponseStream<Element: Sendable>: AsyncSequence, Sendable {
  private let messages: MessageStream<Element>
  private let metadata: any ResponseMetadata

  init(messages: MessageStream<Element>, metadata: any ResponseMetadata) {
    self.messages = messages
    self.metadata = metadata
  }

  /// The response headers; suspends until they are here. A call that ends without them has none if it ends well, and
  /// throws its error if not.
  package var initialMetadata: Metadata {
    get async throws { try await metadata.initialMetadata() }
  }

  /// The trailers; empty until iteration has ended.
  package var trailingMetadata: Metadata {
    get async { await metadata.trailingMetadata() }
  }

  /// Whether the message taken last came compressed.
  package var isMessageCompressed: Bool {
    get async { await metadata.isMessageCompressed() }
  }

  package func makeAsyncIterator() -> MessageStream<Element>.AsyncIterator { messages.makeAsyncIterator() }

  /// The only message of the call, with its metadata.
  package func single() async throws -> ClientResponse<Element> {
    var iterator = makeAsyncIterator()
    guard let message = try await iterator.next() else {
      throw RPCError(.unimplemented, "the call succeeded without its response message")
    }
    guard try await iterator.next() == nil else {
      throw RPCError(.unimplemented, "the call has one response message and got more")
    }
    return ClientResponse(
      message: message, initialMetadata: try await initialMetadata, trailingMetadata: await trailingMetadata,
      isCompressed: await isMessageCompressed)
  }
}

extension ResponseStream<ByteBuffer> {
  package func decoded<Message: RPC.Message>(as type: Message.Type = Message.self) -> ResponseStream<Message>
  {
    ResponseStream<Message>(messages: messages.decoded(validating: false), metadata: metadata)
  }
}
