package import NIOCore
import Synchronization

// One method per shape of rpc, each once on bytes and once on messages. They throw `RPCError`; a cancelled task
// cancels its call. Calls are counted here, around everything, so that what is counted is what their callers see: an
// answer that cannot be read is no success, and a call that an interceptor refuses is a call.
extension RPCClient {
  /// A method of the target's services, to be called any number of times. Whoever calls often keeps it.
  ///
  /// - Parameter isIdempotent: the contract says that calling twice has the effect of calling once, so that a call
  ///   whose answer was lost may be made again. The first to ask for a method decides.
  package func method(_ path: String, isIdempotent: Bool = false) -> ClientMethod {
    settings.method(path, isIdempotent: isIdempotent)
  }

  package func unary(
    _ method: ClientMethod, _ request: ByteBuffer, _ options: CallOptions = CallOptions()
  ) async throws -> ClientResponse<ByteBuffer> {
    let count = method.metrics?.began()
    do {
      let response = try await intercepted(method, request, options)
      count?.succeeded()
      return response
    } catch {
      count?.failed(error)
      throw error
    }
  }

  package func unary<Request: Message, Response: Message>(
    _ method: ClientMethod, _ request: Request, _ options: CallOptions = CallOptions()
  ) async throws -> ClientResponse<Response> {
    let count = method.metrics?.began()
    do {
      let response = try await intercepted(method, request.encoded(), options)
      let message = try Response(response: response.message)
      count?.succeeded()
      return ClientResponse(
        message: message, initialMetadata: response.initialMetadata,
        trailingMetadata: response.trailingMetadata, isCompressed: response.isCompressed)
    } catch {
      count?.failed(error)
      throw error
    }
  }

  private func intercepted(
    _ method: ClientMethod, _ request: ByteBuffer, _ options: CallOptions
  ) async throws -> ClientResponse<ByteBuffer> {
    guard let interceptor = settings.interceptor else {
      return try await makeCall(method, options).unary(request)
    }
    return try await interceptor.unary(.init(method: method, options: options), request) { call, request in
      try await self.makeCall(call.method, call.options).unary(request)
    }
  }

  /// A call of any shape on bytes: `requests` writes and half-closes the call by returning, while `responses`
  /// reads. When either throws, the call is cancelled.
  package func stream<Result: Sendable>(
    _ method: ClientMethod, _ options: CallOptions = CallOptions(),
    requests: @escaping @Sendable (RequestWriter<ByteBuffer>) async throws -> Void,
    responses: @escaping @Sendable (ResponseStream<ByteBuffer>) async throws -> Result
  ) async throws -> Result {
    let count = method.metrics?.began()
    do {
      let result = try await intercepted(method, options, requests, responses)
      count?.succeeded()
      return result
    } catch {
      count?.failed(error)
      throw error
    }
  }

  private func intercepted<Result: Sendable>(
    _ method: ClientMethod, _ options: CallOptions,
    _ requests: @escaping @Sendable (RequestWriter<ByteBuffer>) async throws -> Void,
    _ responses: @escaping @Sendable (ResponseStream<ByteBuffer>) async throws -> Result
  ) async throws -> Result {
    guard let interceptor = settings.interceptor else {
      return try await makeCall(method, options).run(requests: requests, responses: responses)
    }
    let result = Mutex<Result?>(nil)
    try await interceptor.stream(.init(method: method, options: options)) { call in
      let value = try await self.makeCall(call.method, call.options)
        .run(requests: requests, responses: responses)
      result.withLock { $0 = value }
    }
    guard let result = result.withLock({ $0 }) else {
      throw RPCError(.internal, "an interceptor neither made the call nor failed it")
    }
    return result
  }

  package func serverStreaming<Request: Message, Response: Message, Result: Sendable>(
    _ method: ClientMethod, _ request: Request, _ options: CallOptions = CallOptions(),
    responses: @escaping @Sendable (ResponseStream<Response>) async throws -> Result
  ) async throws -> Result {
    try await stream(
      method, options,
      requests: { try await $0.write(request.encoded()) },
      responses: { try await responses($0.decoded()) })
  }

  package func clientStreaming<Request: Message, Response: Message>(
    _ method: ClientMethod, _ options: CallOptions = CallOptions(),
    requests: @escaping @Sendable (RequestWriter<Request>) async throws -> Void
  ) async throws -> ClientResponse<Response> {
    try await stream(
      method, options,
      requests: { try await requests($0.encoding()) },
      responses: { try await $0.decoded().single() })
  }

  package func bidirectional<Request: Message, Response: Message, Result: Sendable>(
    _ method: ClientMethod, _ options: CallOptions = CallOptions(),
    requests: @escaping @Sendable (RequestWriter<Request>) async throws -> Void,
    responses: @escaping @Sendable (ResponseStream<Response>) async throws -> Result
  ) async throws -> Result {
    try await stream(
      method, options,
      requests: { try await requests($0.encoding()) },
      responses: { try await responses($0.decoded()) })
  }
}

extension ClientCall {
  /// The whole of a streaming call, with a task that writes and one that reads.
  fileprivate func run<Result: Sendable>(
    requests: @escaping @Sendable (RequestWriter<ByteBuffer>) async throws -> Void,
    responses: @escaping @Sendable (ResponseStream<ByteBuffer>) async throws -> Result
  ) async throws -> Result {
    try await withTaskCancellationHandler {
      try await open()
      return try await withThrowingTaskGroup(of: Void.self) { group in
        let writing = Mutex<(any Error)?>(nil)
        group.addTask {
          do {
            try await requests(MessageWriter(sink: self))
            self.finishWriting()
          } catch {
            writing.withLock { $0 = error }
            self.cancel()
          }
        }
        // Does nothing to a call that has ended; one whose responses were not read to the end stops here.
        defer {
          cancel()
          group.cancelAll()
        }
        do {
          return try await responses(
            ResponseStream(messages: MessageStream(source: self), metadata: self))
        } catch is CancellationError where Task.isCancelled {
          throw RPCError.cancelledByCaller
        } catch let error as RPCError where error == .cancelledByCaller {
          // If it was the writer who gave up, its reason says more; but not where it only noticed first that the task
          // is cancelled.
          throw Task.isCancelled ? error : writing.withLock { $0 } ?? error
        }
      }
    } onCancel: {
      cancel()
    }
  }
}

// The same for callers without generated code, who name the method by its path.
extension RPCClient {
  package func unary(
    path: String, request: ByteBuffer, options: CallOptions = CallOptions()
  ) async throws -> ClientResponse<ByteBuffer> {
    try await unary(method(path), request, options)
  }

  package func stream<Result: Sendable>(
    path: String, options: CallOptions = CallOptions(),
    requests: @escaping @Sendable (RequestWriter<ByteBuffer>) async throws -> Void,
    responses: @escaping @Sendable (ResponseStream<ByteBuffer>) async throws -> Result
  ) async throws -> Result {
    try await stream(method(path), options, requests: requests, responses: responses)
  }
}
