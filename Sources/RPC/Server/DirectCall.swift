package import NIOCore
import NIOPosix
import Synchronization

// Calling a service without a connection, for tests and for embedding: the handlers with their decoding,
// validation and interceptors of their own, and nothing else. Deadlines, admission and limits are the server's.
extension ServiceDefinition {
  /// Calls a method with all of its requests and returns all of its responses.
  /// - Throws: what the handler throws; UNIMPLEMENTED when there is no such method.
  package func call(
    _ method: String, _ requests: [ByteBuffer], metadata: Metadata = [:], deadline: NIODeadline? = nil
  ) async throws -> [ByteBuffer] {
    guard let definition = methods.first(where: { $0.name == method }) else {
      throw RPCError(.unimplemented, "unknown method /\(name)/\(method)")
    }
    let context = CallContext(
      method: "/\(name)/\(method)", metadata: metadata, deadline: deadline,
      eventLoop: MultiThreadedEventLoopGroup.singleton.any(), peer: nil)
    switch definition.handler {
    case .unary(let handler):
      guard let request = requests.first else { throw RPCError.missingMessage }
      guard requests.count == 1 else { throw RPCError.extraMessage }
      return [try await handler(request, context)]
    case .streaming(let handler):
      let responses = CollectedMessages()
      try await handler(MessageStream(requests), MessageWriter(collecting: responses), context)
      return responses.all
    }
  }

  /// The same with messages in place of bytes.
  package func call<Request: Message, Response: Message>(
    _ method: String, _ requests: [Request], returning type: Response.Type = Response.self,
    metadata: Metadata = [:], deadline: NIODeadline? = nil
  ) async throws -> [Response] {
    try await call(method, requests.map { $0.encoded() }, metadata: metadata, deadline: deadline)
      .map { try Response(response: $0) }
  }
}

/// What was written to a `MessageWriter` that leads nowhere else.
package final class CollectedMessages: MessageSink {
  private let messages = Mutex<[ByteBuffer]>([])

  package init() {}

  package var all: [ByteBuffer] { messages.withLock { $0 } }

  func writeMessage(_ message: ByteBuffer, compressed: Bool) async throws {
    messages.withLock { $0.append(message) }
  }
}

extension MessageWriter<ByteBuffer> {
  /// A writer that keeps what is written, for calling a handler without a connection.
  package init(collecting messages: CollectedMessages) {
    self.init(sink: messages)
  }
}
