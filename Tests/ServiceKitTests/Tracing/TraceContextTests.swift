import RPC
import Testing

@testable import ServiceKit

@Suite("Trace context")
struct TraceContextTests {
  private static let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

  @Test("A traceparent is read, and written the same", arguments: ["00", "01"])
  func reads(flags: String) throws {
    let text = Self.good.dropLast(2) + flags
    let context = try #require(TraceContext(traceparent: String(text)))
    #expect(context.traceID.text == "0af7651916cd43dd8448eb211c80319c")
    #expect(context.spanID.hexadecimal == "b7ad6b7169203331")
    #expect(context.isSampled == (flags == "01"))
    #expect(context.traceparent == text)
  }

  @Test("Of flags only that which says sampled is known")
  func flags() throws {
    let context = try #require(TraceContext(traceparent: Self.good.dropLast(2) + "ff"))
    #expect(context.isSampled && context.traceparent == Self.good)
  }

  @Test("A later version is read as far as this one knows it")
  func laterVersion() throws {
    for text in ["cc" + Self.good.dropFirst(2), "cc" + Self.good.dropFirst(2) + "-what-comes"] {
      #expect(TraceContext(traceparent: String(text))?.traceparent == Self.good)
    }
  }

  @Test(
    "What is not exactly a traceparent is none",
    arguments: [
      "", "00", good + "-", good + "-00", String(good.dropLast()), good.uppercased(), " " + good,
      "ff" + good.dropFirst(2), "cc" + good.dropFirst(2) + "x", "0g" + good.dropFirst(2),
      "00-00000000000000000000000000000000-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
      "00-0af7651916cd43dd8448eb211c80319c0b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319ä-b7ad6b7169203331-01",
    ])
  func malformed(text: String) {
    #expect(TraceContext(traceparent: text) == nil)
  }

  @Test("A tracestate is passed on as it is, unless it is more than must be")
  func states() {
    func state(_ text: String) -> String? { TraceContext(traceparent: Self.good, tracestate: text)?.state }
    #expect(state("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7") == "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")
    #expect(state(String(repeating: "x", count: 512)) != nil)
    #expect(state(String(repeating: "x", count: 513)) == nil)
    #expect(state(String(repeating: "a=b,", count: 31) + "a=b") != nil)
    #expect(state(String(repeating: "a=b,", count: 32) + "a=b") == nil)
    #expect(state("") == nil && state("a=\n") == nil && state("a=ä") == nil)
  }

  @Test("It goes through the metadata of a call")
  func metadata() {
    var metadata: Metadata = ["traceparent": "old", "x-request-id": "1"]
    let context = TraceContext(
      traceID: .init(high: 1, low: 2), spanID: 3, isSampled: true, state: "a=b")
    context.write(to: &metadata)
    #expect(TraceContext(metadata) == context && metadata["x-request-id"] == "1")
  }

  @Test("Ids are never 0, and never the same")
  func ids() {
    let ids = TraceIDs()
    let spans = Set((0..<10_000).map { _ in ids.spanID() })
    #expect(spans.count == 10_000 && !spans.contains(0))
    #expect(ids.traceID() != ids.traceID())
  }
}
