import HTTP2
import NIOCore

extension ClientCall {
  /// The request headers of an attempt that begins now.
  func headers(authority: [UInt8], previousAttempts: Int) -> HeaderBlock {
    var block = HeaderBlock.requestStart(isSecure: channel.configuration.tls != nil)
    block.add(":path", method.path.utf8)
    block.add(":authority", authority)
    block.add("te", "trailers")
    block.add("content-type", "application/grpc")
    block.add("grpc-accept-encoding", "identity,gzip")
    if encoding == .gzip { block.add("grpc-encoding", "gzip") }
    if let deadline {
      block.add("grpc-timeout", TimeoutHeader.format(deadline - .now()).utf8)
    }
    if previousAttempts > 0 { block.add("grpc-previous-rpc-attempts", "\(previousAttempts)".utf8) }
    block.add(metadata)
    return block
  }
}

extension HeaderBlock {
  private static let plainStart: HeaderBlock = [":method": "POST", ":scheme": "http"]
  private static let secureStart: HeaderBlock = [":method": "POST", ":scheme": "https"]

  static func requestStart(isSecure: Bool) -> HeaderBlock { isSecure ? secureStart : plainStart }
}
