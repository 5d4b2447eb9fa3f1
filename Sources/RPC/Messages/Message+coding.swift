package import NIOCore

extension Message {
  package func encoded() -> ByteBuffer {
    var buffer = ByteBuffer()
    encode(into: &buffer)
    return buffer
  }

  /// Decodes and validates what a caller sent.
  package init(request bytes: ByteBuffer) throws(RPCError) {
    try self.init(peer: bytes)
    var violations: [FieldViolation] = []
    validate(into: &violations)
    guard let first = violations.first else { return }
    throw RPCError(
      .invalidArgument, "\(first.field): \(first.message)", reason: "VALIDATION_FAILED",
      violations: violations)
  }

  /// Decodes what a server answered; its rules bind requests only.
  package init(response bytes: ByteBuffer) throws(RPCError) {
    try self.init(peer: bytes)
  }

  private init(peer bytes: ByteBuffer) throws(RPCError) {
    do {
      try self.init(decoding: bytes)
    } catch {
      // A peer whose bytes do not parse speaks another schema: by gRPC's table that is INTERNAL.
      throw RPCError(.internal, "cannot decode \(Self.fullName): \(error.message)")
    }
  }
}
