import NIOCore

/// Where the messages of a stream go: a call, seen from the server or from the client.
protocol MessageSink: AnyObject, Sendable {
  /// Queues a message and returns when the call's outbound buffer is below its bound again.
  func writeMessage(_ message: ByteBuffer, compressed: Bool) async throws
}

/// Sends messages on a call.
package struct MessageWriter<Element: Sendable>: Sendable {
  private let sink: any MessageSink
  private let encode: @Sendable (Element) -> ByteBuffer

  init(sink: any MessageSink, encode: @escaping @Sendable (Element) -> ByteBuffer) {
    self.sink = sink
    self.encode = encode
  }

  /// Sends one message. Suspends while the peer does not read: at most the configured outbound bound plus one
  /// message is ever buffered. Throws when the call has ended.
  ///
  /// - Parameter compressed: on a call that compresses, `false` sends this one as it is: it will not get shorter, or
  ///   holds a secret beside what an attacker chose, whose length would then tell.
  package func write(_ element: Element, compressed: Bool = true) async throws {
    try await sink.writeMessage(encode(element), compressed: compressed)
  }
}

extension MessageWriter<ByteBuffer> {
  init(sink: any MessageSink) {
    self.init(sink: sink, encode: { $0 })
  }

  /// The same writer, taking messages and encoding each when it is written.
  package func encoding<Message: RPC.Message>(_ type: Message.Type = Message.self) -> MessageWriter<Message> {
    MessageWriter<Message>(sink: sink) { $0.encoded() }
  }
}

package typealias ResponseWriter<Element: Sendable> = MessageWriter<Element>
package typealias RequestWriter<Element: Sendable> = MessageWriter<Element>
