package import CoreMetrics
package import RPC
internal import Synchronization

/// Begins and records spans. There is one in a process that has somewhere to send them, and none elsewhere: then nothing
/// here costs anything.
///
/// What ended waits in a bounded queue for `SpanExporter`; when that is full, spans are dropped and counted.
package final class Tracer: Sendable {
  package struct Sampling: Sendable {
    /// The part of the traces that begin here to record.
    package var ratio: Double
    /// Whoever sends a traceparent has decided for its trace.
    package var followsParent: Bool

    package init(ratio: Double, followsParent: Bool = true) {
      self.ratio = ratio
      self.followsParent = followsParent
    }
  }

  static let mostWaiting = 4096
  /// One message of the exporter.
  static let batch = 512

  private let sampling: Sampling
  private let ids = TraceIDs()
  private let waiting = Mutex<[Span]>([])
  /// Says that a batch is full.
  let batches: AsyncStream<Void>
  private let full: AsyncStream<Void>.Continuation
  private let dropped: CoreMetrics.Counter

  package init(sampling: Sampling, metrics: any MetricsFactory = MetricsSystem.factory) {
    self.sampling = sampling
    (batches, full) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    dropped = CoreMetrics.Counter(
      label: "otlp_spans_total", dimensions: [("outcome", "dropped")], factory: metrics)
  }

  /// Begins a span, of a new trace if there is no parent.
  package func begin(_ name: String, _ kind: SpanKind, in parent: TraceContext?) -> OpenSpan {
    var context =
      parent
      ?? TraceContext(traceID: ids.traceID(), spanID: 0, isSampled: false)
    context.spanID = ids.spanID()
    if parent == nil || !sampling.followsParent { context.isSampled = isChosen(context.traceID) }
    return OpenSpan(name, kind, context, parentID: parent?.spanID)
  }

  /// Begins a span within what goes on in this process already: whether it is recorded is decided.
  package func beginWithin(_ name: String, _ kind: SpanKind, of parent: TraceContext) -> OpenSpan {
    var context = parent
    context.spanID = ids.spanID()
    return OpenSpan(name, kind, context, parentID: parent.spanID)
  }

  /// Records the span, if its trace is.
  /// - Parameter name: another than it began with.
  package func end(
    _ span: OpenSpan, name: String? = nil, error: String? = nil,
    _ attributes: @autoclosure () -> [SpanAttribute]
  ) {
    guard span.context.isSampled else { return }
    let span = span.ended(name: name, attributes(), error: error)
    let count = waiting.withLock { waiting in
      guard waiting.count < Self.mostWaiting else { return -1 }
      waiting.append(span)
      return waiting.count
    }
    if count < 0 { dropped.increment() }
    if count == Self.batch { full.yield() }
  }

  /// Every process decides the same about a trace, without asking.
  private func isChosen(_ id: TraceContext.ID) -> Bool {
    // The ids of others are random, ours a permutation: either way the low half is spread evenly.
    Double(id.low >> 11) < sampling.ratio * Double(1 << 53)
  }

  /// What waits, at most a batch of it.
  func take() -> [Span] {
    waiting.withLock { waiting in
      let taken = Array(waiting.prefix(Self.batch))
      waiting.removeFirst(taken.count)
      return taken
    }
  }

  func drop(_ count: Int) {
    dropped.increment(by: count)
  }
}

// Where spans come from.
extension Tracer {
  /// Around every call a program serves, but gRPC's own, such as health checks.
  package var serverInterceptor: ServerInterceptor {
    .around { context, next in
      guard !context.method.hasPrefix("/grpc.") else { return try await next() }
      let span = self.begin(
        String(context.method.dropFirst()), .server, in: TraceContext(context.metadata))
      guard span.context.isSampled else { return try await next() }
      do {
        try await TraceContext.$current.withValue(span.context) { try await next() }
        self.end(span, Self.attributes(context.method, .ok))
      } catch {
        let code = (error as? RPCError)?.code ?? (error is CancellationError ? .cancelled : .unknown)
        self.end(span, error: Self.isFault(code) ? code.name : nil, Self.attributes(context.method, code))
        throw error
      }
    }
  }

  /// Around every call a client makes: in the trace of the task, or of the metadata it sends.
  package var clientInterceptor: ClientInterceptor {
    ClientInterceptor(
      unary: { call, request, next in
        guard let (traced, span) = self.begin(call) else { return try await next(call, request) }
        do {
          let response = try await next(traced, request)
          self.end(span, Self.attributes(call.method.path, .ok))
          return response
        } catch {
          self.end(span, of: call, with: error)
          throw error
        }
      },
      stream: { call, next in
        guard let (traced, span) = self.begin(call) else { return try await next(call) }
        do {
          try await next(traced)
          self.end(span, Self.attributes(call.method.path, .ok))
        } catch {
          self.end(span, of: call, with: error)
          throw error
        }
      })
  }

  private func begin(_ call: ClientInterceptor.Call) -> (ClientInterceptor.Call, OpenSpan)? {
    guard let parent = TraceContext.current ?? TraceContext(call.options.metadata), parent.isSampled else {
      return nil
    }
    let span = beginWithin(String(call.method.path.dropFirst()), .client, of: parent)
    var traced = call
    span.context.write(to: &traced.options.metadata)
    return (traced, span)
  }

  private func end(_ span: OpenSpan, of call: ClientInterceptor.Call, with error: any Error) {
    let code = (error as? RPCError)?.code ?? .cancelled
    end(span, error: code.name, Self.attributes(call.method.path, code))
  }

  /// For `PostgresClient.Configuration.observer`.
  package var statementObserver: @Sendable (_ name: String) -> (@Sendable ((any Error)?) -> Void)? {
    { name in
      guard let parent = TraceContext.current, parent.isSampled else { return nil }
      let span = self.beginWithin(name, .client, of: parent)
      return { error in
        self.end(
          span, error: error.map { _ in "the statement failed" },
          [SpanAttribute("db.system", "postgresql"), SpanAttribute("db.operation.name", name)])
      }
    }
  }

  private static func attributes(_ path: String, _ code: StatusCode) -> [SpanAttribute] {
    let parts = path.dropFirst().split(separator: "/", maxSplits: 1)
    return [
      SpanAttribute("rpc.system", "grpc"), SpanAttribute("rpc.service", String(parts.first ?? "")),
      SpanAttribute("rpc.method", String(parts.last ?? "")),
      SpanAttribute("rpc.grpc.status_code", code.rawValue),
    ]
  }

  /// The server's own, as OpenTelemetry's conventions count it.
  private static func isFault(_ code: StatusCode) -> Bool {
    switch code {
    case .unknown, .deadlineExceeded, .unimplemented, .internal, .unavailable, .dataLoss: true
    default: false
    }
  }
}
