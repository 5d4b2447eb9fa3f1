import HTTP2

// The header lists a server sends. Those of a call without metadata never change and are made once.
extension HeaderBlock {
  static let responseHeaders: HeaderBlock = [":status": "200", "content-type": "application/grpc"]
  static let acceptingHeaders: HeaderBlock = [
    ":status": "200", "content-type": "application/grpc", "grpc-accept-encoding": "identity,gzip",
  ]
  static let gzipHeaders: HeaderBlock = [
    ":status": "200", "content-type": "application/grpc", "grpc-encoding": "gzip",
    "grpc-accept-encoding": "identity,gzip",
  ]
  static let okTrailers: HeaderBlock = ["grpc-status": "0"]

  /// - Parameter isAsked: the client has said what it accepts, and is told what we do.
  static func responseHeaders(
    _ metadata: Metadata, _ encoding: MessageEncoding, _ isAsked: Bool
  ) -> HeaderBlock {
    var block = encoding == .gzip ? gzipHeaders : isAsked ? acceptingHeaders : responseHeaders
    if !metadata.isEmpty { block.add(metadata) }
    return block
  }

  static func trailers(_ error: RPCError?, _ metadata: Metadata) -> HeaderBlock {
    if error == nil, metadata.isEmpty { return okTrailers }
    var block = HeaderBlock()
    block.add(error)
    block.add(metadata)
    return block
  }

  /// Headers and status in one, for a call that fails before it sent anything.
  static func trailersOnly(_ error: RPCError, _ metadata: Metadata) -> HeaderBlock {
    // Compression may be what failed: then this says what works.
    var block = acceptingHeaders
    block.add(error)
    block.add(metadata)
    return block
  }

  /// The answer to a request that is not gRPC.
  static func refusal(httpStatus: Int) -> HeaderBlock {
    var block = HeaderBlock()
    block.add(":status", "\(httpStatus)".utf8)
    if httpStatus == 405 { block.add("allow", "POST") }
    return block
  }

  private mutating func add(_ error: RPCError?) {
    guard let error = error?.shortened else { return add("grpc-status", "0") }
    add("grpc-status", "\(error.code.rawValue)".utf8)
    if !error.message.isEmpty { add("grpc-message", PercentCoding.encode(error.message)) }
    if let details = StatusDetails.encode(error) { add("grpc-status-details-bin", Base64.encode(details)) }
  }

  mutating func add(_ metadata: Metadata) {
    for entry in metadata {
      switch entry.value {
      case .binary(let bytes): add(entry.name.utf8, Base64.encode(bytes))
      case .text(let text):
        // Values may hold what a user typed; anything but printable ASCII, or space around it, would break the call.
        if text.utf8.allSatisfy({ (0x20...0x7e).contains($0) }), text.utf8.first != 0x20,
          text.utf8.last != 0x20
        {
          add(entry.name.utf8, text.utf8)
        } else {
          let plain = text.utf8.map { (0x20...0x7e).contains($0) ? $0 : UInt8(ascii: "?") }
          plain.withUnsafeBytes { add(entry.name.utf8, $0.trimmed) }
        }
      }
    }
  }
}

extension RPCError {
  /// The message, up to three times as long once it is percent-encoded, and the details in base64 stay together
  /// below the 8 KiB of headers any gRPC peer takes: a status too long for its trailers would be no status at all.
  static let maxMessageBytes = 1 << 10
  static let maxDetailsBytes = 3584

  /// The error as it is sent: a long message is cut, then violations and details are dropped until the rest fits.
  var shortened: RPCError {
    var error = self
    if message.utf8.count > Self.maxMessageBytes {
      // Cut to bytes and then to whole characters: a damaged last one becomes U+FFFD and goes.
      error.message = String(decoding: message.utf8.prefix(Self.maxMessageBytes), as: UTF8.self)
      while error.message.last == "\u{FFFD}" { error.message.removeLast() }
    }
    func isTooLong() -> Bool { (StatusDetails.encode(error)?.count ?? 0) > Self.maxDetailsBytes }
    guard isTooLong() else { return error }
    while !error.violations.isEmpty, isTooLong() {
      error.violations.removeLast((error.violations.count + 1) / 2)
    }
    if isTooLong() { error.details = [:] }
    if isTooLong() { error.reason = nil }
    return error
  }
}
