package import NIOCore
import Synchronization

// One method per shape of rpc, each once on bytes and once on messages. They throw `RPCError`; a cancelled task
// cancels its call. `compression` is the client's own unless they say otherwise.
extension RPCClient {
  package func unary(
    path: String, request: ByteBuffer, metadata: Metadata = [:], deadline: NIODeadline? = nil,
    compression: MessageEncoding? = nil
  ) async throws -> ClientResponse<ByteBuffer> {
    try await makeCall(path: path, metadata: metadata, deadline: deadline, compression: compression).unary(
      request)
  }

  package func unary<Request: Message, Response: Message>(
    path: String, request: Request, metadata: Metadata = [:], deadline: NIODeadline? = nil,
    compression: MessageEncoding? = nil
  ) async throws -> ClientResponse<Response> {
    let response = try await unary(
      path: path, request: request.encoded(), metadata: metadata, deadline: deadline, compression: compression
    )
    return ClientResponse(
      message: try Response(response: response.message), initialMetadata: response.initialMetadata,
      trailingMetadata: response.trailingMetadata, isCompressed: response.isCompressed)
  }

  /// A call of any shape on bytes: `requests` writes and half-closes the call by returning, while `responses`
  /// reads. When either throws, the call is cancelled.
  package func stream<Result: Sendable>(
    path: String, metadata: Metadata = [:], deadline: NIODeadline? = nil,
    compression: MessageEncoding? = nil,
    requests: @escaping @Sendable (RequestWriter<ByteBuffer>) async throws -> Void,
    responses: @escaping @Sendable (ResponseStream<ByteBuffer>) async throws -> Result
  ) async throws -> Result {
    let call = makeCall(path: path, metadata: metadata, deadline: deadline, compression: compression)
    return try await withTaskCancellationHandler {
      try await call.open()
      return try await withThrowingTaskGroup(of: Void.self) { group in
        let writing = Mutex<(any Error)?>(nil)
        group.addTask {
          do {
            try await requests(MessageWriter(sink: call))
            call.finishWriting()
          } catch {
            writing.withLock { $0 = error }
            call.cancel()
          }
        }
        // Does nothing to a call that has ended; one whose responses were not read to the end stops here.
        defer {
          call.cancel()
          group.cancelAll()
        }
        do {
          return try await responses(
            ResponseStream(messages: MessageStream(source: call), metadata: call))
        } catch let error as RPCError where error == .cancelledByCaller {
          // If it was the writer who gave up, its reason says more.
          throw writing.withLock { $0 } ?? error
        } catch is CancellationError where Task.isCancelled {
          throw RPCError.cancelledByCaller
        }
      }
    } onCancel: {
      call.cancel()
    }
  }

  package func serverStreaming<Request: Message, Response: Message, Result: Sendable>(
    path: String, request: Request, metadata: Metadata = [:], deadline: NIODeadline? = nil,
    compression: MessageEncoding? = nil,
    responses: @escaping @Sendable (ResponseStream<Response>) async throws -> Result
  ) async throws -> Result {
    try await stream(
      path: path, metadata: metadata, deadline: deadline, compression: compression,
      requests: { try await $0.write(request.encoded()) },
      responses: { try await responses($0.decoded()) })
  }

  package func clientStreaming<Request: Message, Response: Message>(
    path: String, metadata: Metadata = [:], deadline: NIODeadline? = nil,
    compression: MessageEncoding? = nil,
    requests: @escaping @Sendable (RequestWriter<Request>) async throws -> Void
  ) async throws -> ClientResponse<Response> {
    try await stream(
      path: path, metadata: metadata, deadline: deadline, compression: compression,
      requests: { try await requests($0.encoding()) },
      responses: { try await $0.decoded().single() })
  }

  package func bidirectional<Request: Message, Response: Message, Result: Sendable>(
    path: String, metadata: Metadata = [:], deadline: NIODeadline? = nil,
    compression: MessageEncoding? = nil,
    requests: @escaping @Sendable (RequestWriter<Request>) async throws -> Void,
    responses: @escaping @Sendable (ResponseStream<Response>) async throws -> Result
  ) async throws -> Result {
    try await stream(
      path: path, metadata: metadata, deadline: deadline, compression: compression,
      requests: { try await requests($0.encoding()) },
      responses: { try await responses($0.decoded()) })
  }
}
