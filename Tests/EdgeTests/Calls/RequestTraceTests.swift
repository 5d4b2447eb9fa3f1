import Logging
import NIOCore
import RPC
import Synchronization
import Testing

@testable import Edge
@testable import ServiceKit

@Suite("Traces of requests")
struct RequestTraceTests {
  private static let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
  private static let path = "/stores/\(EdgeUnderTest.tenant)"

  /// Answers with the traceparent and tracestate it was sent, as name and zone of a store.
  private static let echo = MethodDefinition.unary("GetStore") { _, context in
    var store = ByteBuffer()
    for (field, key) in [(2, "traceparent"), (3, "tracestate")] {
      store.writeTag(field, .length)
      store.writeDelimited((context.metadata[key] ?? "none").utf8)
    }
    return store
  }

  @Test("Where nobody collects spans, what a request brings is passed on, and nothing if it brings nothing")
  func passedOn() async throws {
    try await withEdge([Self.echo]) { edge in
      let plain = try await edge.request("GET", Self.path)
      #expect(plain.member("name") == "none")
      let traced = try await edge.request(
        "GET", Self.path, headers: ["traceparent: \(Self.parent)", "tracestate: a=b", "tracestate: c=d"])
      #expect(traced.member("name") == Self.parent && traced.member("timezone") == "a=b,c=d")
    }
  }

  @Test(
    "What is not a traceparent, or more than one, is not passed on",
    arguments: [
      ["traceparent: \(parent.uppercased())"], ["traceparent: \(parent)-x"],
      ["traceparent: \(parent)", "traceparent: \(parent)"], ["tracestate: a=b"],
    ])
  func malformed(headers: [String]) async throws {
    try await withEdge([Self.echo]) { edge in
      let response = try await edge.request("GET", Self.path, headers: headers)
      #expect(response.status == 200)
      #expect(response.member("name") == "none" && response.member("timezone") == "none")
    }
  }

  @Test("Where spans are collected, each request has one, within its client's")
  func spans() async throws {
    let tracer = Tracer(sampling: .init(ratio: 0))
    let failing = MethodDefinition.unary("ListStores") { _, _ in throw RPCError(.internal, "no") }
    try await withEdge([Self.echo, failing], tracer: tracer) { edge in
      let client = try await edge.connect()
      let traced = try await client.request("GET", Self.path, headers: ["traceparent: \(Self.parent)"])
      let sent = try #require(TraceContext(traceparent: traced.member("name") ?? ""))
      #expect(sent.traceID.text == "0af7651916cd43dd8448eb211c80319c" && sent.isSampled)
      let failed = try await client.request("GET", "/stores", headers: ["traceparent: \(Self.parent)"])
      #expect(failed.status == 500)
      let missing = try await client.request("GET", "/nowhere", headers: ["traceparent: \(Self.parent)"])
      #expect(missing.status == 404)
      // Not sampled: as the ratio says, for it came without a trace.
      let plain = try await client.request("GET", Self.path)
      #expect(plain.member("name")?.hasSuffix("-00") == true)

      let spans = tracer.take()
      #expect(spans.map(\.name) == ["GET /stores/{store_id}", "GET /stores", "GET"])
      #expect(spans.first?.context.spanID == sent.spanID)
      #expect(spans.allSatisfy { $0.parentID == 0xb7ad_6b71_6920_3331 && $0.kind == .server })
      #expect(spans.map(\.error) == [nil, "Internal Server Error", nil])
      #expect(spans.first?.attributes.contains(SpanAttribute("http.response.status_code", 200)) == true)
    }
  }

  @Test("A line of the access log tells of the trace, the protocol and, shortened, the agent")
  func accessLog() async throws {
    let lines = Lines()
    try await withEdge([Self.echo], log: Logger(label: "access") { _ in lines }) { edge in
      _ = try await edge.request(
        "GET", Self.path,
        headers: ["traceparent: \(Self.parent)", "User-Agent: \(String(repeating: "a", count: 300))"])
    }
    let line = try #require(lines.lines.withLock { $0.first })
    #expect(line["trace_id"] == "0af7651916cd43dd8448eb211c80319c")
    #expect(line["protocol"] == "HTTP/1.1" && line["user_agent"]?.description.utf8.count == 200)
  }
}

/// Keeps the metadata of what is logged.
private final class Lines: LogHandler, Sendable {
  let lines = Mutex<[Logger.Metadata]>([])
  // It has no state that anybody sets.
  var metadata: Logger.Metadata {
    get { [:] }
    set {}
  }
  var logLevel: Logger.Level {
    get { .info }
    set {}
  }
  subscript(metadataKey _: String) -> Logger.MetadataValue? {
    get { nil }
    set {}
  }

  func log(event: LogEvent) {
    lines.withLock { $0.append(event.metadata ?? [:]) }
  }
}
