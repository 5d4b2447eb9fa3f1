import Glibc
package import Logging

/// Writes each log record as one line of JSON to standard error:
/// `{"ts":"2026-01-31T08:15:30.123456Z","level":"info","service":"store","msg":"…","key":"value"}`.
///
/// One `write` per line keeps lines of concurrent threads whole.
package struct JSONLogHandler: LogHandler {
  package var logLevel: Logger.Level
  package var metadata: Logger.Metadata = [:]
  package var metadataProvider: Logger.MetadataProvider?
  private let service: String
  private let label: String

  package init(service: String, label: String, level: Logger.Level) {
    self.service = service
    self.label = label
    self.logLevel = level
  }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    var line = JSONLine()
    line.addTimestamp()
    line.add("level", event.level.rawValue)
    line.add("service", service)
    if label != service { line.add("logger", label) }
    line.add("msg", event.message.description)
    if let error = event.error { line.add("error", String(describing: error)) }
    if let provided = metadataProvider?.get() { line.add(provided) }
    line.add(metadata)
    if let own = event.metadata { line.add(own) }
    line.write(to: STDERR_FILENO)
  }
}

/// A JSON object being written on one line.
private struct JSONLine {
  private var bytes: [UInt8]

  /// Most lines fit; an access log is written at every request.
  init(capacity: Int = 512) {
    bytes = []
    bytes.reserveCapacity(capacity)
    bytes.append(UInt8(ascii: "{"))
  }

  /// `"ts":"2026-01-31T08:15:30.123456Z"`: RFC 3339 in UTC.
  mutating func addTimestamp() {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    var parts = tm()
    gmtime_r(&time.tv_sec, &parts)
    begin("ts")
    bytes.append(UInt8(ascii: "\""))
    add(Int(parts.tm_year) + 1900, digits: 4, then: "-")
    add(Int(parts.tm_mon) + 1, digits: 2, then: "-")
    add(Int(parts.tm_mday), digits: 2, then: "T")
    add(Int(parts.tm_hour), digits: 2, then: ":")
    add(Int(parts.tm_min), digits: 2, then: ":")
    add(Int(parts.tm_sec), digits: 2, then: ".")
    add(time.tv_nsec / 1000, digits: 6, then: "Z")
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func add(_ number: Int, digits: Int, then end: Unicode.Scalar) {
    var unit = 1
    for _ in 1..<digits { unit *= 10 }
    while unit > 0 {
      bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number / unit % 10))
      unit /= 10
    }
    bytes.append(UInt8(ascii: end))
  }

  mutating func add(_ key: String, _ value: String) {
    begin(key)
    quote(value)
  }

  mutating func add(_ metadata: Logger.Metadata) {
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
      begin(key)
      add(value)
    }
  }

  private mutating func begin(_ key: String) {
    if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
    quote(key)
    bytes.append(UInt8(ascii: ":"))
  }

  private mutating func add(_ value: Logger.MetadataValue) {
    switch value {
    case .string(let text): quote(text)
    case .stringConvertible(let number as any FixedWidthInteger): bytes.append(contentsOf: "\(number)".utf8)
    case .stringConvertible(let flag as Bool): bytes.append(contentsOf: "\(flag)".utf8)
    case .stringConvertible(let other): quote(other.description)
    case .array(let values):
      bytes.append(UInt8(ascii: "["))
      for (index, value) in values.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        add(value)
      }
      bytes.append(UInt8(ascii: "]"))
    case .dictionary(let values):
      var inner = JSONLine(capacity: 64)
      inner.add(values)
      bytes.append(contentsOf: inner.bytes)
      bytes.append(UInt8(ascii: "}"))
    }
  }

  /// RFC 8259 section 7. Strings of Swift are valid UTF-8 already.
  private mutating func quote(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(contentsOf: [UInt8(ascii: "\\"), byte])
      case UInt8(ascii: "\n"): bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "n")])
      case 0..<0x20:
        let digits = String(byte, radix: 16)
        bytes.append(contentsOf: "\\u00\(byte < 16 ? "0" : "")\(digits)".utf8)
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  mutating func write(to descriptor: Int32) {
    bytes.append(contentsOf: [UInt8(ascii: "}"), UInt8(ascii: "\n")])
    bytes.withUnsafeBytes { buffer in
      var rest = buffer[...]
      while !rest.isEmpty {
        let written = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        // A log that cannot be written has nobody to complain to.
        guard written > 0 || errno == EINTR else { return }
        rest = rest.dropFirst(max(0, written))
      }
    }
  }
}
