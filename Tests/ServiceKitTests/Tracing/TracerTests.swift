import Logging
import NIOCore
import RPC
import Schema
import ServiceLifecycle
import Synchronization
import Testing

@testable import ServiceKit

@Suite("Tracing")
struct TracerTests {
  private static let parent = TraceContext(
    traceID: .init(high: 1, low: .max), spanID: 7, isSampled: true, state: "a=b")

  // MARK: Sampling

  @Test("A trace that begins here is recorded as often as the ratio says", arguments: [0, 0.25, 1])
  func ratio(_ ratio: Double) {
    let tracer = Tracer(sampling: .init(ratio: ratio))
    let sampled = (0..<4000).count { _ in tracer.begin("a", .server, in: nil).context.isSampled }
    #expect(abs(Double(sampled) - 4000 * ratio) < 150)
  }

  @Test("Whoever sends a traceparent decides, unless told otherwise")
  func parents() {
    var unsampled = Self.parent
    unsampled.isSampled = false
    let never = Tracer(sampling: .init(ratio: 0))
    #expect(never.begin("a", .server, in: Self.parent).context.isSampled)
    #expect(!Tracer(sampling: .init(ratio: 1)).begin("a", .server, in: unsampled).context.isSampled)
    let own = Tracer(sampling: .init(ratio: 0, followsParent: false))
    #expect(!own.begin("a", .server, in: Self.parent).context.isSampled)
  }

  @Test("A span is part of its parent's trace, with an id of its own and the state passed on")
  func children() {
    let span = Tracer(sampling: .init(ratio: 0)).begin("a", .server, in: Self.parent)
    #expect(span.context.traceID == Self.parent.traceID && span.context.state == "a=b")
    #expect(span.parentID == 7 && span.context.spanID != 7)
  }

  // MARK: The queue

  @Test("Spans past the most that may wait are dropped and counted, and what is not sampled is not kept")
  func bounded() {
    let registry = MetricsRegistry()
    let tracer = Tracer(sampling: .init(ratio: 1), metrics: registry)
    var unsampled = Self.parent
    unsampled.isSampled = false
    tracer.end(tracer.begin("no", .server, in: unsampled), [])
    for _ in 0..<Tracer.mostWaiting + 10 { tracer.end(tracer.begin("yes", .server, in: nil), []) }
    #expect(registry.exposition().contains("otlp_spans_total{outcome=\"dropped\"} 10\n"))
    var taken = 0
    while case let batch = tracer.take(), !batch.isEmpty {
      #expect(batch.count <= Tracer.batch && batch.allSatisfy { $0.name == "yes" })
      taken += batch.count
    }
    #expect(taken == Tracer.mostWaiting)
  }

  // MARK: From end to end

  @Test("A call, its handler and its statements are one trace, as the collector sees it")
  func connected() async throws {
    let service = Tracer(sampling: .init(ratio: 0))
    let caller = Tracer(sampling: .init(ratio: 0))
    let outcome = Mutex<[String?]>([])
    let handler = MethodDefinition(
      name: "Work", access: .public,
      handler: .unary { request, context in
        let current = try #require(TraceContext.current)
        let sent = TraceContext(context.metadata)
        // The handler's span is within the client's, which is what the metadata tell.
        #expect(sent?.spanID != current.spanID && sent?.traceID == current.traceID)
        #expect(sent?.state == "a=b")
        let ended = try #require(service.statementObserver("FindStore"))
        ended(nil)
        if request.readableBytes > 0 { throw RPCError(.unavailable, "no") }
        return ByteBuffer()
      })
    let definition = ServiceDefinition(name: "test.Service", methods: [handler])
    let collector = Collector()
    try await withServer([definition], interceptors: [service.serverInterceptor]) { port in
      try await withClient(port, interceptors: [caller.clientInterceptor]) { client in
        var metadata = Metadata()
        Self.parent.write(to: &metadata)
        for request in [ByteBuffer(), ByteBuffer(string: "fail")] {
          let answer = try? await client.unary(
            client.method("/test.Service/Work"), request, CallOptions(metadata: metadata))
          outcome.withLock { $0.append(answer == nil ? "failed" : nil) }
        }
      }
    }
    #expect(outcome.withLock { $0 } == [nil, "failed"])
    try await withServer([collector.definition]) { port in
      try await withClient(port) { client in
        for (tracer, name) in [(caller, "edge"), (service, "store")] {
          #expect(await SpanExporter(tracer, to: client, service: name, logger: .quiet).send() > 0)
        }
      }
    }
    let spans = collector.spans.withLock { $0 }
    let calls = spans.filter { $0.service == "edge" }
    #expect(
      calls.count == 2
        && calls.allSatisfy { $0.parent == 7 && $0.kind == 3 && $0.name == "test.Service/Work" })
    let handlers = spans.filter { $0.service == "store" && $0.kind == 2 }
    #expect(handlers.map(\.parent) == calls.map(\.id))
    #expect(handlers.map(\.error) == [nil, "UNAVAILABLE"] && calls.map(\.error) == [nil, "UNAVAILABLE"])
    #expect(handlers.allSatisfy { $0.attributes.contains("rpc.method=Work") })
    let statements = spans.filter { $0.name == "FindStore" }
    #expect(statements.map(\.parent) == handlers.map(\.id))
    #expect(spans.allSatisfy { $0.trace == Self.parent.traceID.text && $0.end >= $0.start })
  }

  @Test("Without a sampled trace nothing is recorded, and the metadata stay as they were")
  func unsampled() async throws {
    let tracer = Tracer(sampling: .init(ratio: 0))
    let seen = Mutex<[String?]>([])
    let handler = MethodDefinition(
      name: "Work", access: .public,
      handler: .unary { request, context in
        seen.withLock { $0.append(context.metadata["traceparent"]) }
        #expect(TraceContext.current == nil)
        return request
      })
    let definition = ServiceDefinition(name: "test.Service", methods: [handler])
    var unsampled = Self.parent
    unsampled.isSampled = false
    let sent = unsampled.traceparent
    try await withServer([definition], interceptors: [tracer.serverInterceptor]) { port in
      try await withClient(port, interceptors: [tracer.clientInterceptor]) { client in
        for metadata in [Metadata(), ["traceparent": sent]] {
          _ = try await client.unary(
            client.method("/test.Service/Work"), ByteBuffer(), CallOptions(metadata: metadata))
        }
      }
    }
    #expect(seen.withLock { $0 } == [nil, sent])
    #expect(tracer.take().isEmpty)
  }

  @Test("What the collector does not take is dropped and counted")
  func refused() async throws {
    let registry = MetricsRegistry()
    let tracer = Tracer(sampling: .init(ratio: 1), metrics: registry)
    tracer.end(tracer.begin("a", .server, in: nil), [])
    let refusing = ServiceDefinition(
      name: Collector.name,
      methods: [
        MethodDefinition(
          name: "Export", access: .public,
          handler: .unary { _, _ in throw RPCError(.resourceExhausted, "full") })
      ])
    try await withServer([refusing]) { port in
      try await withClient(port) { client in
        let exporter = SpanExporter(tracer, to: client, service: "edge", logger: .quiet, metrics: registry)
        #expect(await exporter.send() == 1)
      }
    }
    #expect(registry.exposition().contains("otlp_spans_total{outcome=\"dropped\"} 1\n"))
    #expect(registry.exposition().contains("otlp_spans_total{outcome=\"exported\"} 0\n"))
  }
}

/// Reads what it is sent by the field numbers of OTLP's protos.
private final class Collector: Sendable {
  struct Received: Sendable {
    var service = ""
    var trace = ""
    var id: UInt64 = 0
    var parent: UInt64?
    var name = ""
    var kind: UInt64 = 0
    var start: UInt64 = 0
    var end: UInt64 = 0
    var attributes: [String] = []
    var error: String?
  }

  static let name = "opentelemetry.proto.collector.trace.v1.TraceService"
  let spans = Mutex<[Received]>([])

  var definition: ServiceDefinition {
    ServiceDefinition(
      name: Self.name,
      methods: [
        MethodDefinition(
          name: "Export", access: .public,
          handler: .unary { request, _ in
            let received = try self.read(Array(buffer: request)[...])
            self.spans.withLock { $0 += received }
            return ByteBuffer()
          })
      ])
  }

  private func read(_ request: ArraySlice<UInt8>) throws -> [Received] {
    var found: [Received] = []
    for resourceSpans in try fields(request)[1] ?? [] {
      let parts = try fields(resourceSpans.bytes())
      let resource = try parts[1]?.first.map { try attributes($0.bytes(), 1) } ?? []
      let service = resource.first { $0.hasPrefix("service.name=") }?.dropFirst(13) ?? ""
      for scopeSpans in parts[2] ?? [] {
        for span in try fields(scopeSpans.bytes())[2] ?? [] {
          found.append(try self.span(span.bytes(), String(service)))
        }
      }
    }
    return found
  }

  private func span(_ bytes: ArraySlice<UInt8>, _ service: String) throws -> Received {
    let parts = try fields(bytes)
    var span = Received(service: service)
    span.trace =
      try parts[1]?.first?.bytes().map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
      .joined() ?? ""
    span.id = try parts[2]?.first.map { UInt64(bytes: try $0.bytes()) } ?? 0
    span.parent = try parts[4]?.first.map { UInt64(bytes: try $0.bytes()) }
    span.name = try parts[5]?.first?.string() ?? ""
    span.kind = try parts[6]?.first?.uint64() ?? 0
    if case .fixed64(let start)? = parts[7]?.first?.value { span.start = start }
    if case .fixed64(let end)? = parts[8]?.first?.value { span.end = end }
    span.attributes = try attributes(bytes, 9)
    if let status = try parts[15]?.first.map({ try fields($0.bytes()) }) {
      #expect(try status[3]?.first?.uint64() == 2)
      span.error = try status[2]?.first?.string()
    }
    return span
  }

  private func attributes(_ bytes: ArraySlice<UInt8>, _ number: Int) throws -> [String] {
    try (fields(bytes)[number] ?? []).map { pair in
      let parts = try fields(pair.bytes())
      let value = try fields(parts[2]?.first?.bytes() ?? [])
      let text = try value[1]?.first?.string() ?? value[3]?.first.map { "\(try $0.uint64())" } ?? ""
      return try "\(parts[1]?.first?.string() ?? "")=\(text)"
    }
  }

  private func fields(_ bytes: ArraySlice<UInt8>) throws -> [Int: [WireField]] {
    var reader = WireReader(bytes)
    var found: [Int: [WireField]] = [:]
    while let field = try reader.next() { found[field.number, default: []].append(field) }
    return found
  }
}

private func withServer(
  _ services: [ServiceDefinition], interceptors: [ServerInterceptor] = [],
  _ body: @Sendable (Int) async throws -> Void
) async throws {
  var configuration = RPCServer.Configuration(address: .tcp(host: "127.0.0.1", port: 0))
  configuration.shutdownGrace = .seconds(1)
  let server = RPCServer(
    services: services, configuration: configuration, admit: { _, _ in }, interceptors: interceptors,
    logger: .quiet)
  try await running(server) { try await body(server.boundAddress.port ?? 0) }
}

private func withClient(
  _ port: Int, interceptors: [ClientInterceptor] = [], _ body: @Sendable (RPCClient) async throws -> Void
) async throws {
  var configuration = RPCClient.Configuration()
  configuration.interceptors = interceptors
  let client = RPCClient(
    target: .tcp(host: "127.0.0.1", port: port), configuration: configuration, logger: .quiet)
  try await running(client) { try await body(client) }
}

private func running(_ service: any Service, _ body: () async throws -> Void) async throws {
  let group = ServiceGroup(services: [service], logger: .quiet)
  async let run: Void = group.run()
  let result: Result<Void, any Error>
  do { result = .success(try await body()) } catch { result = .failure(error) }
  await group.triggerGracefulShutdown()
  try await run
  try result.get()
}

extension Logger {
  fileprivate static var quiet: Logger { Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() } }
}
