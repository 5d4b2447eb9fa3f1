package import NIOCore

/// A gRPC service ready to be served: its full name and a handler per method.
package struct ServiceDefinition: Sendable {
  /// Full protobuf name, e.g. `mainstreet.store.v1.StoreService`.
  package let name: String
  package let methods: [MethodDefinition]

  package init(name: String, methods: [MethodDefinition]) {
    self.name = name
    self.methods = methods
  }
}

/// Who may call a method. Every rpc states it; there is no default.
package enum Access: Sendable, Hashable {
  /// Anyone, without a principal.
  case `public`
  /// A principal holding one of the roles or one of the API-key scopes.
  case roles([String], scopes: [String])
}

package struct MethodDefinition: Sendable {
  /// Simple name, e.g. `CreateStore`.
  package let name: String
  package let access: Access
  package let handler: Handler

  package enum Handler: Sendable {
    /// One message in, one message out: the fast path.
    case unary(@Sendable (ByteBuffer, CallContext) async throws -> ByteBuffer)
    /// Client-, server- and bidirectional streaming.
    case streaming(
      @Sendable (RequestStream<ByteBuffer>, ResponseWriter<ByteBuffer>, CallContext) async throws -> Void)
  }

  package init(name: String, access: Access, handler: Handler) {
    self.name = name
    self.access = access
    self.handler = handler
  }
}
