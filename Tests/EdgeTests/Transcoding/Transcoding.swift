import NIOCore

@testable import Edge

/// What a test asks of the transcoder.
enum Transcoding {
  struct Outcome {
    var wire: [UInt8]
    var violations: [InputViolation]
    /// `pointer CODE`, in order.
    var summary: [String] { violations.map { "\($0.pointer) \($0.code)" } }
  }

  static func read(_ json: some Collection<UInt8>, as message: String = "t.Sample") throws -> Outcome {
    let table = SampleSchema.table(message)
    var transcoder = JSONToWire(into: ByteBuffer())
    var bound = JSONToWire.BoundFields()
    try Array(json).withUnsafeBytes { try transcoder.message($0, as: table, bound: &bound) }
    transcoder.finish(table, seen: bound.seen)
    return Outcome(wire: Array(buffer: transcoder.out), violations: transcoder.violations)
  }

  static func read(_ json: String, as message: String = "t.Sample") throws -> Outcome {
    try read(json.utf8, as: message)
  }

  static func write(_ wire: [UInt8], as message: String = "t.Sample") throws -> String {
    String(
      buffer: try WireToJSON.transcode(
        ByteBuffer(bytes: wire), as: SampleSchema.table(message), into: ByteBuffer()))
  }

  /// What `{"field": value}` becomes and is then written as: the value alone, or nil when it is not written.
  static func roundTrip(_ field: String, _ value: String) throws -> String? {
    let outcome = try read("{\"\(field)\":\(value)}")
    guard outcome.violations.isEmpty else { return outcome.summary.joined(separator: ", ") }
    return Self.value(of: field, in: try write(outcome.wire))
  }

  /// The text of a top-level member, found by scanning: no other JSON parser is asked.
  static func value(of field: String, in json: String) -> String? {
    let bytes = Array(json.utf8)
    return bytes.withUnsafeBytes { text in
      var scanner = JSONScanner(text)
      var first = true
      do {
        try scanner.open(depth: 0)
        while try scanner.next(until: .closeBrace, first: &first) {
          let key = try scanner.key()
          _ = scanner.peek()
          let start = scanner.position
          try scanner.skipValue(depth: 1)
          if scanner.string(key) == field {
            return String(decoding: text[start..<scanner.position], as: UTF8.self)
          }
        }
      } catch {
        return "not JSON: \(error)"
      }
      return nil
    }
  }
}
