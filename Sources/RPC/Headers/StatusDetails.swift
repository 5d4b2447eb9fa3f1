import NIOCore

/// `grpc-status-details-bin`: a `google.rpc.Status` whose details are `ErrorInfo`, `BadRequest` and `RetryInfo`.
///
/// Four small messages, written out by hand: RPC stands below the generated code.
enum StatusDetails {
  private static let domain = "mainstreet"
  private static let typePrefix = "type.googleapis.com/google.rpc."

  /// `nil` when code and message already say everything.
  static func encode(_ error: RPCError) -> [UInt8]? {
    let details = details(of: error)
    return details.isEmpty ? nil : status(error, details)
  }

  fileprivate static func details(of error: RPCError) -> [[UInt8]] {
    var details: [[UInt8]] = []
    if error.reason != nil || !error.details.isEmpty {
      var info = WireWriter()
      info.string(1, error.reason ?? "")
      info.string(2, domain)
      for (key, value) in error.details.sorted(by: { $0.key < $1.key }) {
        var entry = WireWriter()
        entry.string(1, key)
        entry.string(2, value)
        info.bytes(3, entry.bytes)
      }
      details.append(any("ErrorInfo", info))
    }
    if !error.violations.isEmpty {
      var request = WireWriter()
      for violation in error.violations {
        var field = WireWriter()
        field.string(1, violation.field)
        field.string(2, violation.message)
        field.string(3, violation.code)
        request.bytes(1, field.bytes)
      }
      details.append(any("BadRequest", request))
    }
    if let retryAfter = error.retryAfter {
      var duration = WireWriter()
      duration.varint(1, UInt64(bitPattern: retryAfter.components.seconds))
      duration.varint(2, UInt64(bitPattern: retryAfter.components.attoseconds / 1_000_000_000))
      var retry = WireWriter()
      retry.bytes(1, duration.bytes)
      details.append(any("RetryInfo", retry))
    }
    return details
  }

  fileprivate static func status(_ error: RPCError, _ details: [[UInt8]]) -> [UInt8] {
    var status = WireWriter()
    status.varint(1, UInt64(error.code.rawValue))
    status.string(2, error.message)
    for detail in details { status.bytes(3, detail) }
    return status.bytes
  }

  private static func any(_ type: String, _ message: WireWriter) -> [UInt8] {
    var any = WireWriter()
    any.string(1, typePrefix + type)
    any.bytes(2, message.bytes)
    return any.bytes
  }

  /// Fills in what `bytes` say. Details we do not know, or that are damaged, are passed over: the status itself
  /// has arrived without them.
  static func decode(_ bytes: [UInt8], into error: inout RPCError) {
    WireReader(bytes).forEach { number, value in
      guard number == 3, let any = value.bytes else { return }
      var type = ""
      var message: [UInt8] = []
      WireReader(any).forEach { number, value in
        if number == 1 { type = value.string }
        if number == 2 { message = value.bytes ?? [] }
      }
      guard type.hasPrefix(typePrefix) else { return }
      switch type.dropFirst(typePrefix.count) {
      case "ErrorInfo": decodeErrorInfo(message, into: &error)
      case "BadRequest": decodeBadRequest(message, into: &error)
      case "RetryInfo": decodeRetryInfo(message, into: &error)
      default: break
      }
    }
  }

  private static func decodeErrorInfo(_ bytes: [UInt8], into error: inout RPCError) {
    WireReader(bytes).forEach { number, value in
      if number == 1, !value.string.isEmpty { error.reason = value.string }
      guard number == 3, let entry = value.bytes else { return }
      var key = ""
      var text = ""
      WireReader(entry).forEach { number, value in
        if number == 1 { key = value.string }
        if number == 2 { text = value.string }
      }
      error.details[key] = text
    }
  }

  private static func decodeBadRequest(_ bytes: [UInt8], into error: inout RPCError) {
    WireReader(bytes).forEach { number, value in
      guard number == 1, let field = value.bytes else { return }
      var violation = FieldViolation(field: "", code: "", message: "")
      WireReader(field).forEach { number, value in
        if number == 1 { violation.field = value.string }
        if number == 2 { violation.message = value.string }
        if number == 3 { violation.code = value.string }
      }
      error.violations.append(violation)
    }
  }

  /// What a `google.protobuf.Duration` may hold, as far as one can wait it: up to ten thousand years.
  private static let durationSeconds: ClosedRange<Int64> = 0...315_576_000_000

  private static func decodeRetryInfo(_ bytes: [UInt8], into error: inout RPCError) {
    WireReader(bytes).forEach { number, value in
      guard number == 1, let duration = value.bytes else { return }
      var seconds: Int64 = 0
      var nanoseconds: Int64 = 0
      WireReader(duration).forEach { number, value in
        if number == 1 { seconds = Int64(bitPattern: value.varint) }
        if number == 2 { nanoseconds = Int64(bitPattern: value.varint) }
      }
      guard durationSeconds.contains(seconds), (0..<1_000_000_000).contains(nanoseconds) else { return }
      error.retryAfter = .seconds(seconds) + .nanoseconds(nanoseconds)
    }
  }
}

extension RPCError {
  /// All of it as a `google.rpc.Status`, to be kept.
  package var statusBytes: [UInt8] { StatusDetails.status(self, StatusDetails.details(of: self)) }

  /// What `statusBytes` keeps; nil when the bytes are none of that.
  package init?(statusBytes bytes: [UInt8]) {
    var code: StatusCode?
    var message = ""
    WireReader(bytes).forEach { number, value in
      if number == 1 { code = StatusCode(rawValue: Int(truncatingIfNeeded: value.varint)) }
      if number == 2 { message = value.string }
    }
    guard let code else { return nil }
    self.init(code, message)
    StatusDetails.decode(bytes, into: &self)
  }
}

/// Protobuf wire format, as far as the messages above need it.
private struct WireWriter {
  private(set) var bytes: [UInt8] = []

  mutating func varint(_ number: Int, _ value: UInt64) {
    guard value != 0 else { return }
    raw(UInt64(number << 3))
    raw(value)
  }

  mutating func string(_ number: Int, _ value: String) {
    if !value.isEmpty { bytes(number, Array(value.utf8)) }
  }

  mutating func bytes(_ number: Int, _ value: [UInt8]) {
    raw(UInt64(number << 3 | 2))
    raw(UInt64(value.count))
    bytes += value
  }

  private mutating func raw(_ value: UInt64) {
    var value = value
    while value >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    bytes.append(UInt8(value))
  }
}

private struct WireReader {
  struct Value {
    var varint: UInt64 = 0
    var bytes: [UInt8]?
    var string: String { String(decoding: bytes ?? [], as: UTF8.self) }
  }

  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { rest = bytes[...] }

  /// Calls `body` with each field and stops at the first that cannot be read.
  func forEach(_ body: (_ number: Int, _ value: Value) -> Void) {
    var reader = self
    while let tag = reader.varint() {
      var value = Value()
      switch tag & 7 {
      case 0:
        guard let varint = reader.varint() else { return }
        value.varint = varint
      case 1:
        guard reader.skip(8) else { return }
      case 2:
        guard let count = reader.varint(), count <= reader.rest.count else { return }
        value.bytes = Array(reader.rest.prefix(Int(count)))
        _ = reader.skip(Int(count))
      case 5:
        guard reader.skip(4) else { return }
      default:
        return
      }
      body(Int(truncatingIfNeeded: tag >> 3), value)
    }
  }

  private mutating func varint() -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard let byte = rest.popFirst() else { return nil }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
    }
    return nil
  }

  private mutating func skip(_ count: Int) -> Bool {
    guard rest.count >= count else { return false }
    rest = rest.dropFirst(count)
    return true
  }
}
