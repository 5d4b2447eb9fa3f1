import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import Edge

@Suite struct RequestParserTests {
  /// All parts of a text that comes in pieces of so many bytes.
  static func parts(
    _ text: String, pieces: Int = .max, limits: RequestParser.Limits = RequestParser.Limits()
  ) throws(HTTPRefusal) -> [RequestParser.Part] {
    var parser = RequestParser(limits)
    return try parts(text, pieces: pieces, &parser)
  }

  private static func parts(
    _ text: String, pieces: Int, _ parser: inout RequestParser
  ) throws(HTTPRefusal) -> [RequestParser.Part] {
    var parts: [RequestParser.Part] = []
    var rest = Array(text.utf8)[...]
    repeat {
      parser.feed(ByteBuffer(bytes: rest.prefix(pieces)))
      rest = rest.dropFirst(pieces)
      while let part = try parser.next() {
        if case .body(let more) = part, case .body(var bytes)? = parts.last {
          bytes.writeImmutableBuffer(more)
          parts[parts.count - 1] = .body(bytes)
        } else {
          parts.append(part)
        }
      }
    } while !rest.isEmpty
    return parts
  }

  static func head(
    _ method: HTTPMethod, _ target: String, _ version: HTTPVersion = .http1_1,
    _ fields: [(String, String)] = [],
    _ length: BodyLength = .none
  ) -> RequestParser.Part {
    .head(
      HTTPRequestHead(version: version, method: method, uri: target, headers: HTTPHeaders(fields)), length)
  }

  static let host: [(String, String)] = [("Host", "t")]

  @Test("Requests come apart the same however they arrive", arguments: [1, 2, 3, 7, .max])
  func pieces(count: Int) throws {
    let text =
      "GET /a?b=c HTTP/1.1\r\nHost: t\r\n\r\n"
      + "\r\nPOST /b HTTP/1.1\r\nhost:t\r\nX-Empty:\r\nX-Padded: \t a b \t\r\nContent-Length: 3\r\n\r\nabc"
      + "PUT /c HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n00B;n;a=b;q=\"c;d\"\r\ndefghijklmn\r\n0\r\nX: y\r\n\r\n"
      + "HEAD / HTTP/1.0\r\n\r\n" + "OPTIONS * HTTP/1.1\r\nHost: \r\n\r\n"
      + "GET http://T:80/x HTTP/1.1\r\nHost: t:80\r\n\r\n" + "CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n"
    #expect(
      try Self.parts(text, pieces: count) == [
        Self.head(.GET, "/a?b=c", .http1_1, Self.host), .end,
        Self.head(
          .POST, "/b", .http1_1,
          [("host", "t"), ("X-Empty", ""), ("X-Padded", "a b"), ("Content-Length", "3")], .bytes(3)),
        .body(ByteBuffer(string: "abc")), .end,
        Self.head(.PUT, "/c", .http1_1, Self.host + [("Transfer-Encoding", "Chunked")], .chunked),
        .body(ByteBuffer(string: "abcdefghijklmn")), .end,
        Self.head(.HEAD, "/", .http1_0), .end,
        Self.head(.OPTIONS, "*", .http1_1, [("Host", "")]), .end,
        Self.head(.GET, "http://T:80/x", .http1_1, [("Host", "t:80")]), .end,
        Self.head(.CONNECT, "t:443", .http1_1, [("Host", "t:443")]), .end,
      ])
  }

  static func post(_ fields: String, _ body: String = "") -> String {
    "POST / HTTP/1.1\r\nHost: t\r\n\(fields)\r\n\r\n\(body)"
  }
  static func chunked(_ body: String) -> String { post("Transfer-Encoding: chunked", body) }

  /// What somebody before us may read otherwise.
  static let ambiguousTexts: [String] = [
    // Two lengths.
    post("Content-Length: 1\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    post("Transfer-Encoding: chunked\r\nContent-Length: 1", "0\r\n\r\n"),
    post("Content-Length: 1\r\nContent-Length: 1", "a"), post("Content-Length: 1\r\nContent-Length: 2", "ab"),
    post("Content-Length: 1, 1", "a"), post("Content-Length: +1", "a"), post("Content-Length: -1", "a"),
    post("Content-Length: 0x1", "a"), post("Content-Length: 1 1", "a"), post("Content-Length:", ""),
    post("Content-Length: 1.0", "a"), post("Content-Length: ١", "a"),
    post("Content-Length: 9999999999999999999", "a"),
    // Codings.
    post("Transfer-Encoding: gzip", "a"), post("Transfer-Encoding: identity", "a"),
    post("Transfer-Encoding:", "a"),
    post("Transfer-Encoding: chunked, gzip", "a"), post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"),
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    post("Transfer-Encoding: chunked,", "a"),
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
    post("Transfer-Encoding: \"chunked\"", "a"), post("Transfer-Encoding: chunked;q=1", "a"),
    post("Transfer-Encoding: x chunked", "a"), post("Transfer-Encoding: \u{b}chunked", "a"),
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    // Chunks.
    chunked("xyz\r\n"), chunked("-1\r\n"), chunked("0x1\r\na\r\n"), chunked("\r\n"), chunked(" 1\r\na\r\n"),
    chunked("1 \r\na\r\n"), chunked("1\t;a\r\na\r\n"), chunked("1\na\r\n"), chunked("1\r\na\n"),
    chunked("1\r\nab\r\n"),
    chunked("2\r\na\r\n0\r\n\r\n"), chunked("1\r\na0\r\n\r\n"), chunked("FFFFFFFFFFFFFFFFF\r\n"),
    chunked("0000000000000000\r\n\r\n"), chunked("1;\r\na\r\n"), chunked("1;=b\r\na\r\n"),
    chunked("1;a=\r\na\r\n"),
    chunked("1;a\rb\r\na\r\n"), chunked("1;a=\"b\r\na\r\n"), chunked("1;a b\r\na\r\n"),
    chunked("1a;\u{0}\r\n"),
    chunked("0\r\nContent-Length: 1\r\n\r\n"), chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    chunked("0\r\n X: y\r\n\r\n"), chunked("0\r\nX\r\n\r\n"), chunked("0\r\n\n"),
    // Lines.
    "GET / HTTP/1.1\nHost: t\n\n", "GET / HTTP/1.1\r\nHost: t\nX: y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: t\r\n\n",
    "GET / HTTP/1.1\r\nHost: t\r\nX: a\rb\r\n\r\n", "GET / HTTP/1.1\r\nHost: t\r\nX: a\r\r\n\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", " \r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n",
    // Fields.
    post("X : y"), post("X\t: y"), post(": y"), post("X"), post("X: a\r\n b"), post("X: a\r\n\tb"),
    post(" X: a"),
    post("X\u{0}: y"), post("X: a\u{0}b"), post("X: a\u{7f}b"), post("X: a\u{1}b"), post("X Y: z"),
    post("Ä: y"), post("X(: y"),
    // Request lines.
    "GET  / HTTP/1.1\r\nHost: t\r\n\r\n", "GET /  HTTP/1.1\r\nHost: t\r\n\r\n",
    " GET / HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET\t/ HTTP/1.1\r\nHost: t\r\n\r\n", "GET / a HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET / HTTP/1.1 \r\nHost: t\r\n\r\n",
    "GET /\r\n\r\n", "GET / HTTP\r\nHost: t\r\n\r\n", "GET / http/1.1\r\nHost: t\r\n\r\n",
    "GET / HTTP/1.1a\r\nHost: t\r\n\r\n",
    "GET / HTTPS/1.1\r\nHost: t\r\n\r\n", "GET / ICE/1.0\r\nHost: t\r\n\r\n",
    "GET /#a HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET /\u{0} HTTP/1.1\r\nHost: t\r\n\r\n", "GET /ä HTTP/1.1\r\nHost: t\r\n\r\n",
    "GE(T / HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET a HTTP/1.1\r\nHost: t\r\n\r\n", "GET * HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET t:80 HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET ftp://t/ HTTP/1.1\r\nHost: t\r\n\r\n", "CONNECT / HTTP/1.0\r\nHost: t u\r\n\r\n", "hello\r\n\r\n",
    // Hosts.
    "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n",
    "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
  ]

  @Test("What could be read in two ways is refused, and nothing after it is read", arguments: ambiguousTexts)
  func ambiguous(text: String) {
    for count in [1, .max] {
      let refusal = #expect(throws: HTTPRefusal.self) {
        try Self.parts(text + "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n", pieces: count)
      }
      #expect(refusal?.status == 400)
    }
  }

  @Test(
    "What is not known here is said to be that",
    arguments: [
      (post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), 501),
      (post("Transfer-Encoding: x,chunked", "0\r\n\r\n"), 501),
      ("GET / HTTP/2.0\r\nHost: t\r\n\r\n", 505), ("GET / HTTP/1.2\r\nHost: t\r\n\r\n", 505),
      ("GET / HTTP/0.9\r\nHost: t\r\n\r\n", 505), ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ])
  func unknown(text: String, status: Int) {
    let refusal = #expect(throws: HTTPRefusal.self) { try Self.parts(text) }
    #expect(refusal?.status == status)
  }

  @Test("A method that nobody knows is a method", arguments: ["PROPFIND", "QUERY", "BREW", "get", "X-1"])
  func methods(name: String) throws {
    #expect(
      try Self.parts("\(name) / HTTP/1.1\r\nHost: t\r\n\r\n") == [
        Self.head(HTTPMethod(rawValue: name), "/", .http1_1, Self.host), .end,
      ])
  }

  static let small: RequestParser.Limits = {
    var limits = RequestParser.Limits()
    (limits.headerBytes, limits.headerFields, limits.chunkLineBytes, limits.chunkExtensionBytes) = (
      100, 3, 10, 12
    )
    return limits
  }()

  @Test(
    "Nothing is longer than it may be, whether its end is here or not",
    arguments: [
      ("GET /\(String(repeating: "a", count: 100))", 414),
      ("GET /\(String(repeating: "a", count: 100)) HTTP/1.1\r\n", 414),
      ("GET / HTTP/1.1\r\nX: \(String(repeating: "a", count: 100))", 431),
      ("GET / HTTP/1.1\r\nX: \(String(repeating: "a", count: 80))\r\n", 431),
      ("GET / HTTP/1.1\r\nA: b\r\nA: b\r\nA: b\r\nA:", nil),
      ("GET / HTTP/1.1\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n", 431),
      ("GET / HTTP/1.1\r\n" + String(repeating: "A:b\r\n", count: 3) + "\u{20}", nil),
      (chunked("1;\(String(repeating: "a", count: 10))"), 400),
      (chunked("1;aaaaaaa\r\na\r\n1;aaaa\r\na\r\n"), 400),
      (chunked("1;aaaaaaa\r\na\r\n1;aa\r\na\r\n"), nil),
      (chunked("0\r\n" + String(repeating: "A: b\r\n", count: 4)), 431),
      (chunked("0\r\nX: \(String(repeating: "a", count: 100))"), 431),
    ] as [(String, Int?)])
  func limits(text: String, status: Int?) {
    for count in [1, .max] {
      do {
        _ = try Self.parts(text, pieces: count, limits: Self.small)
        #expect(status == nil)
      } catch {
        #expect(error.status == status)
      }
    }
  }

  @Test("A header block of exactly the limit is taken")
  func exactLimit() throws {
    let start = "GET / HTTP/1.1\r\nHost: t\r\nX: "
    let text = start + String(repeating: "a", count: 98 - start.utf8.count) + "\r\n"
    #expect(try Self.parts(text + "\r\n", limits: Self.small).count == 2)
    #expect(try Self.parts(text + "\r\n", pieces: 1, limits: Self.small).count == 2)
    #expect(throws: HTTPRefusal.self) { try Self.parts(text.replacing("X", with: "XX"), limits: Self.small) }
  }

  @Test("What is taken, NIO's decoder takes as well, and reads the same")
  func differential() throws {
    var random = SplitMix(state: 9112)
    let seeds = Self.ambiguousTexts + Self.wellFormed
    var taken = 0
    for round in 0..<10_000 {
      let text =
        round < seeds.count
        ? Array(seeds[round].utf8)
        : Self.mutated(
          (round % 2 == 0 ? seeds : Self.wellFormed).randomElement(using: &random) ?? "", &random)
      var parser = RequestParser()
      guard let ours = try? Self.parts(String(decoding: text, as: UTF8.self), pieces: .max, &parser),
        // Of what is not complete it has an opinion earlier than we.
        parser.bufferedBytes == 0,
        // What is not UTF-8 would have been changed on its way here.
        Array(String(decoding: text, as: UTF8.self).utf8) == text,
        // It knows methods by name.
        ours.allSatisfy({ if case .head(let head, _) = $0 { Self.known.contains(head.method) } else { true } }
        )
      else { continue }
      taken += 1
      let theirs = try Self.nio(text)
      #expect(theirs == ours.map(Read.init), "\(String(decoding: text, as: UTF8.self).debugDescription)")
    }
    #expect(taken > 200)
  }

  static let wellFormed: [String] = [
    post("Content-Length: 3", "abc"), post("Content-Length: 0"), chunked("3\r\nabc\r\n0\r\n\r\n"),
    chunked("3;a=b\r\nabc\r\n1f\r\n\(String(repeating: "x", count: 31))\r\n0\r\nX: y\r\n\r\n"),
    "GET /a?b=c&d=%20 HTTP/1.1\r\nHost: example.org:8080\r\nAccept: */*\r\nX-Empty:\r\n\r\n",
    "GET http://t/a HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
    "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  ]

  private static let known: [HTTPMethod] = [.GET, .POST, .PUT, .HEAD, .CONNECT, .OPTIONS]

  /// One to three bytes are others, gone, twice, or come from another request.
  private static func mutated(_ text: String, _ random: inout SplitMix) -> [UInt8] {
    var bytes = Array(text.utf8)
    let interesting = Array("\r\n \t:;,=\"\0/#0129afx*HTChost".utf8)
    for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
      let index = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0: bytes[index] = interesting.randomElement(using: &random) ?? 0
      case 1: bytes.remove(at: index)
      case 2: bytes.insert(bytes[index], at: index)
      default: bytes.insert(interesting.randomElement(using: &random) ?? 0, at: index)
      }
    }
    return bytes
  }

  /// A part as both can be compared by. NIO leaves the blanks behind a value.
  enum Read: Equatable {
    case head(String, String, HTTPVersion, [String])
    case body(String)
    case end

    init(_ part: RequestParser.Part) {
      switch part {
      case .head(let head, _): self = .init(head)
      case .body(let bytes): self = .body(String(buffer: bytes))
      case .end: self = .end
      }
    }

    private init(_ head: HTTPRequestHead) {
      self = .head(
        head.method.rawValue, head.uri, head.version,
        head.headers.map { "\($0.name): \($0.value.trimmingBlanks)" })
    }

    init(_ part: HTTPServerRequestPart) {
      switch part {
      case .head(let head): self = .init(head)
      case .body(let bytes): self = .body(String(buffer: bytes))
      case .end: self = .end
      }
    }
  }

  private static func nio(_ text: [UInt8]) throws -> [Read] {
    let channel = EmbeddedChannel(
      handler: ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)))
    defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
    try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    // What it throws is a request that we take and it does not.
    try channel.writeInbound(ByteBuffer(bytes: text))
    var read: [Read] = []
    while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
      if case .body(let more) = part, case .body(let bytes)? = read.last {
        read[read.count - 1] = .body(bytes + String(buffer: more))
      } else {
        read.append(Read(part))
      }
    }
    return read
  }
}
