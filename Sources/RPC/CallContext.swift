package import NIOCore

/// What a handler knows about its call besides the request.
package final class CallContext: @unchecked Sendable {
}

package struct RequestStream<Element: Sendable>: AsyncSequence, Sendable {
  package struct AsyncIterator: AsyncIteratorProtocol {
    package mutating func next() async throws -> Element? { nil }
  }
  package func makeAsyncIterator() -> AsyncIterator { AsyncIterator() }
}

package struct ResponseWriter<Element: Sendable>: Sendable {
  package func write(_ element: Element) async throws {}
}
