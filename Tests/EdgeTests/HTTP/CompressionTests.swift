import Gzip
import NIOCore
import RPC
import Testing

@testable import Edge

@Suite struct CompressionTests {
  @Test(
    "A client gets what it likes best, as far as we speak it (RFC 9110, 12.5.3)",
    arguments: [
      ("gzip", .gzip), ("x-gzip", .gzip), ("GZIP", .gzip), ("gzip, deflate, br", .gzip),
      ("br, gzip;q=0.1", .gzip),
      ("*", .gzip), ("*;q=0.5", .gzip), ("gzip;q=1.000", .gzip), ("gzip ; q=0.5", .gzip),
      ("identity;q=0, *", .gzip),
      ("gzip;q=0.5, identity;q=0.5", .gzip), ("gzip, *;q=0", .gzip), ("identity;q=0, gzip;q=0.001", .gzip),
      ("", .identity), ("br", .identity), ("identity", .identity), ("gzip;q=0", .identity),
      ("*;q=0, identity", .identity),
      ("gzip;q=0.4, identity;q=0.5", .identity), ("gzip;q=0, *", .identity), ("gzip;q=2", .identity),
      ("gzip;q=x", .identity), ("gzip;v=1", .identity), ("gzipped", .identity),
      ("*;q=0, identity;q=1", .identity),
      ("identity;q=0", nil), ("*;q=0", nil), ("br, identity;q=0", nil), ("gzip;q=0, *;q=0", nil),
    ] as [(String, ContentCoding?)])
  func preference(field: String, coding: ContentCoding?) {
    #expect(ContentCoding.preferred(by: field) == coding)
  }

  @Test(
    "Text is worth it",
    arguments: [
      ("application/json", true), ("application/problem+json", true), ("text/csv; charset=utf-8", true),
      ("image/svg+xml", true), ("text/event-stream", false), ("image/png", false), ("application/pdf", false),
      ("application/octet-stream", false),
    ])
  func types(type: String, isWorthIt: Bool) {
    #expect(ContentCoding.isWorthIt(for: type) == isWorthIt)
  }

  static let path = "/stores/\(EdgeUnderTest.tenant)"

  @Test("A long answer is compressed for who asks, and comes out the same")
  func unary() async throws {
    try await withEdge([HTTPHeaderTests.largeStore]) { edge in
      let client = try await edge.connect()
      let plain = try await client.request("GET", Self.path)
      #expect(plain["Content-Encoding"] == nil)
      #expect(plain["Vary"] == "Accept-Encoding")
      let compressed = try await client.request("GET", Self.path, headers: ["Accept-Encoding: gzip"])
      #expect(compressed["Content-Encoding"] == "gzip")
      #expect(compressed["Vary"] == "Accept-Encoding")
      #expect(compressed.bytes.count < plain.bytes.count / 10)
      #expect(try inflated(compressed.bytes) == plain.bytes)
      let head = try await client.request("HEAD", Self.path, headers: ["Accept-Encoding: gzip"])
      #expect(head["Content-Length"] == compressed["Content-Length"])
      #expect(head["Content-Encoding"] == "gzip")
    }
  }

  @Test("A short one is not, unless the client takes nothing else")
  func short() async throws {
    try await withEdge([HTTP1ConnectionTests.getStore]) { edge in
      let client = try await edge.connect()
      #expect(
        try await client.request("GET", Self.path, headers: ["Accept-Encoding: gzip"])["Content-Encoding"]
          == nil)
      let strict = try await client.request(
        "GET", Self.path, headers: ["Accept-Encoding: gzip, identity;q=0"])
      #expect(strict["Content-Encoding"] == "gzip")
      #expect(String(decoding: try inflated(strict.bytes), as: UTF8.self).contains(EdgeUnderTest.tenant))
    }
  }

  @Test("While all states are in use, answers go out as they are, with the tag of what they are")
  func noneLeft() async throws {
    var limits = HTTPLimits.patient
    limits.compressions = 0
    try await withEdge([HTTPHeaderTests.largeStore], limits: limits) { edge in
      let plain = try await edge.request("GET", Self.path)
      let asked = try await edge.request("GET", Self.path, headers: ["Accept-Encoding: gzip"])
      #expect(asked["Content-Encoding"] == nil)
      #expect(asked["ETag"] == plain["ETag"])
      #expect(asked.body == plain.body)
    }
  }

  @Test(
    "A download is compressed as it comes, and each piece of it arrives", arguments: ["gzip", "identity"])
  func download(accepted: String) async throws {
    let lines = (0..<10_000).map { "store,\($0),open\n" }
    let seen = Signal()
    let download = MethodDefinition.streaming("DownloadReport") { _, responses, _ in
      for (index, piece) in [lines.prefix(5000), lines.suffix(5000)].enumerated() {
        // The second piece is not made before the client has had the first.
        if index == 1 { await seen.wait() }
        try await responses.write(
          RawBody(contentType: index == 0 ? "text/csv" : "", data: ByteBuffer(string: piece.joined()))
            .encoded())
      }
    }
    try await withEdge([download]) { edge in
      let client = try await edge.connect()
      try await client.send(
        "GET /get_report/\(EdgeUnderTest.tenant) HTTP/1.1\r\nHost: t\r\nAccept-Encoding: \(accepted)\r\n\r\n")
      let response = await client.response { bytes in
        let whole = accepted == "gzip" ? (try? inflated(bytes, isWhole: false)) ?? [] : bytes
        if whole.count >= lines.prefix(5000).joined().utf8.count { await seen.raise() }
      }
      let found = try #require(response)
      #expect(found["Content-Encoding"] == (accepted == "gzip" ? "gzip" : nil))
      #expect(found["Vary"] == "Accept-Encoding")
      #expect(found.isComplete)
      let body = accepted == "gzip" ? try inflated(found.bytes) : found.bytes
      #expect(String(decoding: body, as: UTF8.self) == lines.joined())
    }
  }
}

/// - Parameter isWhole: whether it must be all of it.
private func inflated(_ bytes: [UInt8], isWhole: Bool = true) throws -> [UInt8] {
  var inflater = try GzipInflater(limit: 1 << 24)
  var (next, out, piece) = (0, [UInt8](), [UInt8](repeating: 0, count: 1 << 16))
  while true {
    let count = try inflater.inflate(bytes, from: &next, into: &piece)
    out += piece[..<count]
    if next == bytes.count, count < piece.count { break }
  }
  if isWhole { try inflater.finish() }
  return out
}
