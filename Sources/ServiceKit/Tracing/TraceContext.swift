package import RPC

/// Which trace a piece of work belongs to, and as what: W3C Trace Context, Level 1.
package struct TraceContext: Hashable, Sendable {
  package struct ID: Hashable, Sendable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
      self.high = high
      self.low = low
    }

    /// As it is written: 32 digits.
    package var text: String { high.hexadecimal + low.hexadecimal }
  }

  package var traceID: ID
  package var spanID: UInt64
  /// Whoever records spans records this one.
  package var isSampled: Bool
  /// What vendors carry along, passed on as it came.
  package var state: String?

  package init(traceID: ID, spanID: UInt64, isSampled: Bool, state: String? = nil) {
    self.traceID = traceID
    self.spanID = spanID
    self.isSampled = isSampled
    self.state = state
  }

  /// What the current task works for, where spans are recorded; see `Tracer`.
  @TaskLocal package static var current: TraceContext?
}

extension TraceContext {
  /// Nil for what is not exactly a traceparent: a damaged one begins a new trace rather than a wrong one.
  package init?(traceparent text: String, tracestate: String? = nil) {
    var text = text
    let parsed = text.withUTF8 { bytes -> TraceContext? in
      guard bytes.count >= 55, bytes[2] == .dash, bytes[35] == .dash, bytes[52] == .dash,
        let version = UInt64(hexadecimal: bytes[0..<2]), version != 0xff,
        // Later versions may append to what this one has.
        version == 0 ? bytes.count == 55 : bytes.count == 55 || bytes[55] == .dash,
        let high = UInt64(hexadecimal: bytes[3..<19]), let low = UInt64(hexadecimal: bytes[19..<35]),
        let span = UInt64(hexadecimal: bytes[36..<52]), let flags = UInt64(hexadecimal: bytes[53..<55]),
        high | low != 0, span != 0
      else { return nil }
      return TraceContext(traceID: ID(high: high, low: low), spanID: span, isSampled: flags & 1 == 1)
    }
    guard var parsed else { return nil }
    parsed.state = tracestate.flatMap { Self.isState($0) ? $0 : nil }
    self = parsed
  }

  /// From the metadata of a call.
  package init?(_ metadata: Metadata) {
    guard let parent = metadata[Self.parentKey] else { return nil }
    self.init(traceparent: parent, tracestate: metadata[Self.stateKey])
  }

  package static let parentKey = "traceparent"
  package static let stateKey = "tracestate"

  package var traceparent: String {
    "00-\(traceID.text)-\(spanID.hexadecimal)-\(isSampled ? "01" : "00")"
  }

  package func write(to metadata: inout Metadata) {
    metadata[Self.parentKey] = traceparent
    metadata[Self.stateKey] = state
  }

  /// No more than must be passed on: 512 characters, 32 members.
  private static func isState(_ text: String) -> Bool {
    (1...512).contains(text.utf8.count) && text.utf8.allSatisfy { (0x20...0x7e).contains($0) }
      && text.utf8.count { $0 == UInt8(ascii: ",") } < 32
  }
}

extension UInt8 {
  fileprivate static var dash: UInt8 { UInt8(ascii: "-") }
}

extension UInt64 {
  /// 16 digits, lower-case.
  package var hexadecimal: String {
    String(unsafeUninitializedCapacity: 16) { digits in
      for index in 0..<16 {
        let digit = UInt8(truncatingIfNeeded: self >> UInt64(60 - index * 4)) & 15
        digits[index] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
      }
      return 16
    }
  }

  /// Nil for anything but lower-case digits, of which there are no more than 16.
  fileprivate init?(hexadecimal digits: Slice<UnsafeBufferPointer<UInt8>>) {
    var value: UInt64 = 0
    for digit in digits {
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
      default: return nil
      }
    }
    self = value
  }
}
