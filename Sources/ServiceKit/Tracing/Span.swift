internal import Glibc
internal import NIOCore

/// A piece of work that has ended, as it is recorded.
struct Span: Sendable {
  var name: String
  var kind: SpanKind
  var context: TraceContext
  /// Nil for the first of its trace.
  var parentID: UInt64?
  /// Nanoseconds since 1970.
  var start: UInt64
  var nanoseconds: UInt64
  var attributes: [SpanAttribute]
  /// What went wrong; nil when nothing did.
  var error: String?
}

/// Numbers of OTLP.
package enum SpanKind: UInt64, Sendable {
  case server = 2
  case client = 3
}

/// Named as OpenTelemetry's conventions have it.
package struct SpanAttribute: Sendable, Hashable {
  package enum Value: Sendable, Hashable {
    case text(String)
    case number(Int64)
  }

  package var key: String
  package var value: Value

  package init(_ key: String, _ text: String) {
    self.key = key
    value = .text(text)
  }

  package init(_ key: String, _ number: Int) {
    self.key = key
    value = .number(Int64(number))
  }
}

/// A piece of work that is being done.
package struct OpenSpan: Sendable {
  package let context: TraceContext
  let parentID: UInt64?
  let name: String
  let kind: SpanKind
  private let start: UInt64
  private let began: NIODeadline

  init(_ name: String, _ kind: SpanKind, _ context: TraceContext, parentID: UInt64?) {
    self.name = name
    self.kind = kind
    self.context = context
    self.parentID = parentID
    began = .now()
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    start = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  func ended(name: String?, _ attributes: [SpanAttribute], error: String?) -> Span {
    // Measured by the clock that nobody sets.
    Span(
      name: name ?? self.name, kind: kind, context: context, parentID: parentID, start: start,
      nanoseconds: UInt64(max(0, (NIODeadline.now() - began).nanoseconds)), attributes: attributes,
      error: error)
  }
}
