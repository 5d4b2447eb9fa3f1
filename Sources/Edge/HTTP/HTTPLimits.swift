import NIOCore

/// What one connection and all of them together may use (CONTRACT.md, "Limits").
struct HTTPLimits: Sendable {
  // MARK: How large

  /// Of a request line and its fields.
  var headerBytes = 16 << 10
  var headerFields = 100
  /// Body bytes held for a slow reader before the client is not read from.
  var uploadBufferBytes = 64 << 10
  /// What is read of a body that does not matter, so that its client can read why.
  var ignoredBodyBytes = 64 << 10
  /// What is read and dropped of what a client still sends after its final answer.
  var lingerBytes = 4 << 20
  /// What a client may have sent behind the request that is being answered before it is not read from.
  var pipelinedBytes = 16 << 10
  /// Requests and answers that are kept for all clients together, beyond 16 KiB for each exchange. One that would need
  /// more is answered 503.
  var heldBytes = 512 << 20

  // MARK: How many

  var connections = 10_000
  /// Of one address, or of one /64 of IPv6, which is what a subscriber has of it.
  var connectionsPerAddress = 1_000
  /// Requests that a client of HTTP/2 may have under way at once.
  var streams = 100
  /// Requests of one connection that may be answered at once before the others have their turn.
  var requestsPerTurn = 64
  /// Answers that may be being compressed at a time; others go out as they are.
  var compressions = 16

  // MARK: How long

  /// From a request's first byte, or the connection's start, to the end of its header block. Also for a TLS handshake.
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
}
