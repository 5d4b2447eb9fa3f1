package import NIOCore

/// Who may call a method. Every rpc states it; there is no default.
package enum Access: Sendable, Hashable {
  /// Anyone, without a principal.
  case `public`
  /// A principal holding one of the roles or one of the API-key scopes.
  case roles([String], scopes: [String])
}

/// One rpc of a service, ready to be served.
package struct MethodDefinition: Sendable {
  /// Simple name, e.g. `CreateStore`.
  package let name: String
  package let access: Access
  package var handler: Handler
  /// For calls that last until somebody ends them, like watches: when the server begins to shut down it ends them
  /// itself, as UNAVAILABLE, instead of waiting for them. Until then they have places of their own: see
  /// `RPCServer.Configuration.maxLastingCalls`.
  package var endsAtShutdown = false
  /// Bytes of one request message, where that is less than the server's: what anybody may call has no need of more.
  package var maxRequestBytes = Int.max
  /// The call has one request message, and its handler runs when that is here.
  package let takesOneMessage: Bool

  package enum Handler: Sendable {
    /// One message in, one message out: the fast path.
    case unary(@Sendable (ByteBuffer, CallContext) async throws -> ByteBuffer)
    /// Client-, server- and bidirectional streaming.
    case streaming(
      @Sendable (RequestStream<ByteBuffer>, ResponseWriter<ByteBuffer>, CallContext) async throws -> Void)
  }

  package init(name: String, access: Access, handler: Handler, takesOneMessage: Bool = false) {
    self.name = name
    self.access = access
    self.handler = handler
    self.takesOneMessage = if case .unary = handler { true } else { takesOneMessage }
  }
}

// The four shapes of an rpc. Requests are decoded and validated before the handler sees them.
extension MethodDefinition {
  package static func unary<Request: Message, Response: Message>(
    _ name: String, access: Access,
    _ handler: @escaping @Sendable (Request, CallContext) async throws -> Response
  ) -> MethodDefinition {
    MethodDefinition(
      name: name, access: access,
      handler: .unary { bytes, context in
        try await handler(try Request(request: bytes), context).encoded()
      })
  }

  package static func serverStreaming<Request: Message, Response: Message>(
    _ name: String, access: Access,
    _ handler: @escaping @Sendable (Request, ResponseWriter<Response>, CallContext) async throws -> Void
  ) -> MethodDefinition {
    MethodDefinition(
      name: name, access: access,
      handler: .streaming { requests, responses, context in
        var iterator = requests.decoded(as: Request.self, validating: true).makeAsyncIterator()
        guard let request = try await iterator.next() else { throw RPCError.missingMessage }
        guard try await iterator.next() == nil else { throw RPCError.extraMessage }
        try await handler(request, responses.encoding(), context)
      },
      takesOneMessage: true)
  }

  package static func clientStreaming<Request: Message, Response: Message>(
    _ name: String, access: Access,
    _ handler: @escaping @Sendable (RequestStream<Request>, CallContext) async throws -> Response
  ) -> MethodDefinition {
    MethodDefinition(
      name: name, access: access,
      handler: .streaming { requests, responses, context in
        let response = try await handler(requests.decoded(validating: true), context)
        try await responses.write(response.encoded())
      })
  }

  package static func bidirectional<Request: Message, Response: Message>(
    _ name: String, access: Access,
    _ handler:
      @escaping @Sendable (RequestStream<Request>, ResponseWriter<Response>, CallContext) async throws -> Void
  ) -> MethodDefinition {
    MethodDefinition(
      name: name, access: access,
      handler: .streaming { requests, responses, context in
        try await handler(requests.decoded(validating: true), responses.encoding(), context)
      })
  }
}

extension RPCError {
  static let missingMessage = RPCError(.unimplemented, "the call ended without its request message")
  static let extraMessage = RPCError(.unimplemented, "the call takes one request message and got more")
}
