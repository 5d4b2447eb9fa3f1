/// When a server compresses its responses. Only ever to clients that accept it, and only messages it makes shorter.
package enum ResponseCompression: Sendable {
  /// To clients that compressed their request.
  case inKind
  case always
  case never

  func encoding(of head: borrowing RequestHead) -> MessageEncoding {
    guard head.acceptsGzip == true else { return .identity }
    return switch self {
    case .inKind: head.encoding
    case .always: .gzip
    case .never: .identity
    }
  }
}
