package import NIOCore

/// Something that stands between a caller and its calls: adds metadata, counts, traces, refuses, asks again.
///
/// The interceptors of a client are composed once, when it is made; the first is the outermost. What they see is
/// the call: its attempts are made beneath them. A client without any pays nothing for there being such a thing.
package struct ClientInterceptor: Sendable {
  /// A call on its way.
  package struct Call: Sendable {
    package let method: ClientMethod
    package var options: CallOptions
  }

  package typealias UnaryNext = @Sendable (Call, ByteBuffer) async throws -> ClientResponse<ByteBuffer>
  package typealias Unary =
    @Sendable (Call, ByteBuffer, _ next: @escaping UnaryNext) async throws -> ClientResponse<ByteBuffer>
  package typealias StreamNext = @Sendable (Call) async throws -> Void
  package typealias Stream = @Sendable (Call, _ next: @escaping StreamNext) async throws -> Void

  /// Around a unary call. `next` makes it, more than once if it is called more than once.
  package var unary: Unary
  /// Around a call of any other shape; `next` returns when it has ended, and is called at most once.
  package var stream: Stream

  package init(
    unary: @escaping Unary = { try await $2($0, $1) }, stream: @escaping Stream = { try await $1($0) }
  ) {
    self.unary = unary
    self.stream = stream
  }

  /// The interceptors as one, the first outermost; `nil` when there are none.
  static func composed(_ interceptors: [ClientInterceptor]) -> ClientInterceptor? {
    guard let last = interceptors.last else { return nil }
    return interceptors.dropLast().reversed().reduce(last) { inner, outer in
      ClientInterceptor(
        unary: { call, request, next in
          try await outer.unary(call, request) { try await inner.unary($0, $1, next) }
        },
        stream: { call, next in
          try await outer.stream(call) { try await inner.stream($0, next) }
        })
    }
  }
}
