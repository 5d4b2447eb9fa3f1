import NIOCore

/// The request headers of a call, read field by field as they are decoded.
struct RequestHead {
  /// How a request is turned away before its handler is known to exist.
  enum Refusal: Equatable {
    /// Not gRPC at all: plain HTTP is the only answer the peer understands.
    case http(status: Int)
    case status(RPCError)
  }

  private let maxBytes: Int
  /// As they count against the limit, and about what it takes to keep them.
  private(set) var bytes = 0
  private var isPost = false
  private var isGRPC = false
  private var unknownPath: String?
  private var unknownEncoding: String?
  private var badTimeout: String?

  private(set) var method: ServedMethod?
  /// How its compressed messages are compressed.
  private(set) var encoding = MessageEncoding.identity
  /// What the peer takes in return; `nil` from one that takes no part in compression at all.
  private(set) var acceptsGzip: Bool?
  private(set) var timeout: TimeAmount?
  private(set) var metadata = Metadata()

  init(maxBytes: Int) {
    self.maxBytes = maxBytes
  }

  mutating func receive(
    name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, methods: @autoclosure () -> MethodTable
  ) {
    bytes += name.count + value.count + 32
    guard bytes <= maxBytes else { return }
    switch name.count {
    case 5 where name.equals(":path"):
      method = methods().find(value)
      if method == nil { unknownPath = String(decoding: value, as: UTF8.self) }
    case 7 where name.equals(":method"):
      isPost = value.equals("POST")
    case 12 where name.equals("content-type"):
      isGRPC = value.isGRPCContentType
    case 12 where name.equals("grpc-timeout"):
      timeout = TimeoutHeader.parse(value)
      if timeout == nil { badTimeout = String(decoding: value, as: UTF8.self) }
    case 13 where name.equals("grpc-encoding"):
      if let known = MessageEncoding(value) {
        encoding = known
      } else {
        unknownEncoding = String(decoding: value, as: UTF8.self)
      }
    case 20 where name.equals("grpc-accept-encoding"):
      acceptsGzip = MessageEncoding.acceptsGzip(value)
    default:
      metadata.receive(name: name, value: value)
    }
  }

  /// Judges the complete head; the order is that in which a peer can understand the answer.
  var refusal: Refusal? {
    if bytes > maxBytes {
      return .status(
        RPCError(.resourceExhausted, "the request headers are over the limit of \(maxBytes) bytes"))
    }
    guard isPost else { return .http(status: 405) }
    guard isGRPC else { return .http(status: 415) }
    if let unknownPath { return .status(RPCError(.unimplemented, "unknown method \(unknownPath)")) }
    if let unknownEncoding {
      return .status(
        RPCError(.unimplemented, "unknown grpc-encoding \(unknownEncoding); use \(MessageEncoding.accepted)"))
    }
    if let badTimeout { return .status(RPCError(.internal, "malformed grpc-timeout \(badTimeout)")) }
    return nil
  }
}
