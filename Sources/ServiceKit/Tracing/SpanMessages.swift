internal import NIOCore

/// `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest` and what is in it, by its public field numbers.
///
/// Written by hand: it is sent and never read, and its messages have the names of other things in Swift.
enum SpanMessages {
  /// `Resource`: who the spans come from.
  static func resource(service: String) -> ByteBuffer {
    var out = ByteBuffer()
    out.writeAttribute(1, SpanAttribute("service.name", service))
    out.writeAttribute(1, SpanAttribute("service.namespace", "mainstreet"))
    out.writeAttribute(1, SpanAttribute("service.instance.id", UInt64.random(in: .min ... .max).hexadecimal))
    return out
  }

  /// `ExportTraceServiceRequest` {resource_spans 1}, of one `ResourceSpans` {resource 1, scope_spans 2} with one
  /// `ScopeSpans` {scope 1, spans 2}.
  static func request(_ spans: [Span], from resource: ByteBuffer) -> ByteBuffer {
    var scope = ByteBuffer()
    scope.writeText(1, "mainstreet")
    var scoped = ByteBuffer()
    scoped.reserveCapacity(spans.count * 256)
    scoped.writeMessage(1, scope)
    for span in spans { scoped.writeMessage(2, message(span)) }
    var whole = ByteBuffer()
    whole.writeMessage(1, resource)
    whole.writeMessage(2, scoped)
    var request = ByteBuffer()
    request.writeMessage(1, whole)
    return request
  }

  /// `Span`.
  private static func message(_ span: Span) -> ByteBuffer {
    var out = ByteBuffer()
    out.reserveCapacity(256)
    var traceID = ByteBuffer()
    traceID.writeInteger(span.context.traceID.high)
    traceID.writeInteger(span.context.traceID.low)
    out.writeMessage(1, traceID)
    out.writeMessage(2, ByteBuffer(integer: span.context.spanID))
    if let state = span.context.state { out.writeText(3, state) }
    if let parent = span.parentID { out.writeMessage(4, ByteBuffer(integer: parent)) }
    out.writeText(5, span.name)
    out.writeNumber(6, span.kind.rawValue)
    out.writeFixed(7, span.start)
    out.writeFixed(8, span.start &+ span.nanoseconds)
    for attribute in span.attributes { out.writeAttribute(9, attribute) }
    if let error = span.error {
      // Status {message 2, code 3}; 2 is an error.
      var status = ByteBuffer()
      status.writeText(2, error)
      status.writeNumber(3, 2)
      out.writeMessage(15, status)
    }
    return out
  }
}

// The wire format of protobuf.
extension ByteBuffer {
  fileprivate mutating func writeVarint(_ value: UInt64) {
    var value = value
    while value >= 0x80 {
      writeInteger(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    writeInteger(UInt8(value))
  }

  fileprivate mutating func writeNumber(_ field: UInt64, _ value: UInt64) {
    writeVarint(field << 3)
    writeVarint(value)
  }

  fileprivate mutating func writeFixed(_ field: UInt64, _ value: UInt64) {
    writeVarint(field << 3 | 1)
    writeInteger(value, endianness: .little)
  }

  fileprivate mutating func writeText(_ field: UInt64, _ text: String) {
    writeVarint(field << 3 | 2)
    writeVarint(UInt64(text.utf8.count))
    writeString(text)
  }

  fileprivate mutating func writeMessage(_ field: UInt64, _ message: ByteBuffer) {
    writeVarint(field << 3 | 2)
    writeVarint(UInt64(message.readableBytes))
    writeImmutableBuffer(message)
  }

  /// `KeyValue` {key 1, value 2} with an `AnyValue` {string_value 1, int_value 3}.
  fileprivate mutating func writeAttribute(_ field: UInt64, _ attribute: SpanAttribute) {
    var value = ByteBuffer()
    switch attribute.value {
    case .text(let text): value.writeText(1, text)
    case .number(let number): value.writeNumber(3, UInt64(bitPattern: number))
    }
    var pair = ByteBuffer()
    pair.writeText(1, attribute.key)
    pair.writeMessage(2, value)
    writeMessage(field, pair)
  }
}
