import NIOCore

/// One header list of a response, headers or trailers, read field by field.
struct ResponseHead {
  private let maxBytes: Int
  /// As they count against the limit.
  private var bytes = 0
  private(set) var httpStatus: Int?
  private(set) var metadata = Metadata()
  /// How compressed messages are compressed.
  private(set) var encoding = MessageEncoding.identity
  private var unknownEncoding: String?
  private var isGRPC = false
  private var status: StatusCode?
  private var message = ""
  private var details: [UInt8]?
  private(set) var pushback: Pushback?

  /// It ends the call: trailers, or headers and trailers in one ("Trailers-Only").
  var hasStatus: Bool { status != nil }

  init(maxBytes: Int) {
    self.maxBytes = maxBytes
  }

  mutating func receive(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    bytes += name.count + value.count + 32
    guard bytes <= maxBytes else { return }
    switch name.count {
    case 7 where name.equals(":status"):
      httpStatus = Int(String(decoding: value, as: UTF8.self))
    case 12 where name.equals("content-type"):
      isGRPC = value.isGRPCContentType
    case 13 where name.equals("grpc-encoding"):
      if let known = MessageEncoding(value) {
        encoding = known
      } else {
        unknownEncoding = String(decoding: value, as: UTF8.self)
      }
    case 11 where name.equals("grpc-status"):
      // A number we do not know is an error all the same.
      status = Int(String(decoding: value, as: UTF8.self)).flatMap(StatusCode.init) ?? .unknown
    case 12 where name.equals("grpc-message"):
      message = PercentCoding.decode(value)
    case 23 where name.equals("grpc-status-details-bin"):
      details = Base64.decode(value)
    case 22 where name.equals("grpc-retry-pushback-ms"):
      pushback = Pushback(String(decoding: value, as: UTF8.self))
    default:
      metadata.receive(name: name, value: value)
    }
  }

  private var excess: RPCError? {
    guard bytes > maxBytes else { return nil }
    return RPCError(.resourceExhausted, "the response headers are over the limit of \(maxBytes) bytes")
  }

  /// Why these are not the headers of a gRPC response, if they are not (PROTOCOL-HTTP2.md,
  /// "HTTP2 Status Code Mapping").
  var refusal: RPCError? {
    if let excess { return excess }
    if let unknownEncoding {
      // Who was told what we accept and sent something else is broken (gRPC's compression.md).
      return RPCError(.internal, "the server compresses with \(unknownEncoding), which was not offered to it")
    }
    guard let httpStatus, httpStatus != 200 || !isGRPC, !hasStatus else { return nil }
    let code: StatusCode =
      switch httpStatus {
      case 400: .internal
      case 401: .unauthenticated
      case 403: .permissionDenied
      case 404: .unimplemented
      case 429, 502, 503, 504: .unavailable
      default: .unknown
      }
    return RPCError(
      code, httpStatus == 200 ? "the answer is not gRPC" : "the server answered HTTP \(httpStatus)")
  }

  /// The error the call ends with; `nil` is OK.
  var error: RPCError? {
    if let excess { return excess }
    guard let status else { return RPCError(.unknown, "the call ended without a status") }
    guard status != .ok else { return nil }
    var error = RPCError(status, message)
    if let details { StatusDetails.decode(details, into: &error) }
    return error
  }
}
