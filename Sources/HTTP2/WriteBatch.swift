import NIOCore

/// Where a connection gathers what it writes at a time. One does for all connections of an event loop, which write one
/// after the other: thousands of them need no buffer of their own, none is made for an answer, and it stays in the
/// processor's cache.
package final class WriteBatch {
  var bytes = ByteBuffer()

  package init() {}
}
