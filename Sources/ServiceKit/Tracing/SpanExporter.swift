package import CoreMetrics
package import Logging
internal import NIOCore
package import RPC
internal import ServiceLifecycle

/// Sends spans to a collector: OTLP over gRPC, in batches, once a second or when one is full. What the collector does
/// not take is dropped and counted; nobody who is traced waits for it.
package struct SpanExporter: Service {
  private let tracer: Tracer
  private let client: RPCClient
  private let export: ClientMethod
  private let resource: ByteBuffer
  private let exported: CoreMetrics.Counter
  private let logger: Logger

  private static let pause = Duration.seconds(1)
  private static let timeout = TimeAmount.seconds(10)
  /// What is left when the program ends.
  private static let lastBatches = 1 + Tracer.mostWaiting / Tracer.batch

  /// - Parameter service: what its spans are said to come from.
  package init(
    _ tracer: Tracer, to client: RPCClient, service: String, logger: Logger,
    metrics: any MetricsFactory = MetricsSystem.factory
  ) {
    self.tracer = tracer
    self.client = client
    self.logger = logger
    // A collector tells what it has had twice by the ids of spans.
    export = client.method(
      "/opentelemetry.proto.collector.trace.v1.TraceService/Export", isIdempotent: true)
    resource = SpanMessages.resource(service: service)
    exported = CoreMetrics.Counter(
      label: "otlp_spans_total", dimensions: [("outcome", "exported")], factory: metrics)
  }

  package func run() async throws {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask {
          for await _ in tracer.batches { await send() }
        }
        while !Task.isCancelled {
          try? await Task.sleep(for: Self.pause)
          if !Task.isCancelled { await send() }
        }
      }
    }
    for _ in 0..<Self.lastBatches {
      guard await send() > 0 else { return }
    }
  }

  /// Sends a batch; returns how many spans that were.
  @discardableResult
  func send() async -> Int {
    let spans = tracer.take()
    guard !spans.isEmpty else { return 0 }
    do {
      let request = SpanMessages.request(spans, from: resource)
      _ = try await client.unary(export, request, CallOptions(deadline: .now() + Self.timeout))
      exported.increment(by: spans.count)
    } catch {
      tracer.drop(spans.count)
      logger.warning("spans were not taken", metadata: ["spans": "\(spans.count)", "error": "\(error)"])
    }
    return spans.count
  }
}
