import NIOHTTP1
import ServiceKit

/// The traces of requests: of those that come with one, and, where spans are recorded, of all.
struct RequestTraces: Sendable {
  /// Nil where nobody collects spans: then what a request brings is passed on as it is.
  let tracer: Tracer?

  /// Nil for a request that is part of no trace.
  func begin(_ headers: HTTPHeaders) -> RequestTrace? {
    let parent = Self.parent(headers)
    guard let tracer else { return parent.map { RequestTrace(context: $0, span: nil) } }
    let span = tracer.begin("HTTP", .server, in: parent)
    return RequestTrace(context: span.context, span: span)
  }

  /// Two of them say nothing (W3C Trace Context, 3.2).
  private static func parent(_ headers: HTTPHeaders) -> TraceContext? {
    guard let text = headers.first(name: TraceContext.parentKey),
      headers[TraceContext.parentKey].count == 1
    else { return nil }
    let states = headers[TraceContext.stateKey]
    return TraceContext(
      traceparent: text, tracestate: states.isEmpty ? nil : states.joined(separator: ","))
  }

  func end(_ exchange: HTTPExchange) {
    guard let tracer, let span = exchange.reception.trace?.span else { return }
    let method = exchange.head.method.rawValue
    let route = exchange.reception.route
    let status = exchange.status
    tracer.end(
      span, name: route.map { "\(method) \($0)" } ?? method,
      // The caller's errors are not the Edge's.
      error: status >= 500 ? HTTPResponseHead.reason(status) : nil,
      [
        SpanAttribute("http.request.method", method), SpanAttribute("http.route", route ?? ""),
        SpanAttribute("http.response.status_code", status),
        SpanAttribute("mainstreet.request_id", exchange.reception.requestID),
      ])
  }
}

/// The trace a request belongs to.
struct RequestTrace: Sendable {
  /// As it is passed on to services.
  let context: TraceContext
  fileprivate let span: OpenSpan?
}
