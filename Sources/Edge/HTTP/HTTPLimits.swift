import NIOCore

/// What one connection and all of them together may use (CONTRACT.md, "Limits").
struct HTTPLimits: Sendable {
  /// Names and values of a request's fields, and the longest request target.
  var headerBytes = 16 << 10
  var headerFields = 100
  /// From a request's first byte, or the connection's start, to the end of its header block.
  var headerDeadline: TimeAmount = .seconds(10)
  /// From the header block to the end of a body that is collected.
  var bodyDeadline: TimeAmount = .seconds(30)
  /// The same for a body that is streamed: a gibibyte at 300 KiB/s.
  var uploadDeadline: TimeAmount = .hours(1)
  /// How long a service that wants the next piece of a streamed body may be left waiting for it.
  var bodyIdleDeadline: TimeAmount = .seconds(30)
  /// How long a client may leave a full send buffer without taking anything from it.
  var writeStallDeadline: TimeAmount = .seconds(30)
  /// Between requests.
  var idleDeadline: TimeAmount = .seconds(60)
  /// How long a client that is still sending is listened to after its final answer, so that it can read it.
  var lingerDeadline: TimeAmount = .seconds(2)
  /// Requests that may wait behind the one being answered; beyond it the socket is not read.
  var pipelinedRequests = 16
  /// Body bytes held for a slow reader before the socket is not read.
  var uploadBufferBytes = 64 << 10
  var connections = 10_000
}
