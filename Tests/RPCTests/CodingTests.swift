import NIOCore
import Testing

@testable import RPC

@Suite("On the wire") struct CodingTests {
  @Test(
    "a status message is percent-encoded",
    arguments: [
      ("", ""), ("not found", "not found"), ("100%", "100%25"), ("a\nb", "a%0Ab"), ("☃", "%E2%98%83"),
      ("~ }\u{7f}", "~ }%7F"), ("  a b  ", "%20 a b %20"), (" ", "%20"),
    ])
  func percentEncoding(message: String, encoded: String) {
    #expect(String(decoding: PercentCoding.encode(message), as: UTF8.self) == encoded)
    #expect(PercentCoding.decode(Array(encoded.utf8)) == message)
  }

  @Test(
    "a damaged status message is read as well as it can be",
    arguments: [("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%4a%4B", "JK"), ("%ff", "\u{fffd}"), ("☃", "☃")])
  func percentDecoding(encoded: String, message: String) {
    #expect(PercentCoding.decode(Array(encoded.utf8)) == message)
  }

  @Test("binary values survive base64 of every length", arguments: 0...10)
  func base64(count: Int) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 89 &+ 200) }
    let encoded = Base64.encode(bytes)
    #expect(!encoded.contains(UInt8(ascii: "=")))
    #expect(Base64.decode(encoded) == bytes)
    let padding = [UInt8](repeating: UInt8(ascii: "="), count: (4 - encoded.count % 4) % 4)
    #expect(Base64.decode(encoded + padding) == bytes)
  }

  @Test(
    "what is not base64 is refused", arguments: ["A", "A=", "AA=", "AAAA=", "A*AA", "====", "AAAAA", "AA==="])
  func notBase64(text: String) {
    #expect(Base64.decode(Array(text.utf8)) == nil)
  }

  @Test(
    "a timeout is read",
    arguments: [
      ("0n", 0), ("1H", 3_600_000_000_000), ("2M", 120_000_000_000), ("3S", 3_000_000_000), ("4m", 4_000_000),
      ("5u", 5000), ("99999999n", 99_999_999), ("99999999H", Int64.max),
    ])
  func timeout(text: String, nanoseconds: Int64) {
    #expect(TimeoutHeader.parse(Array(text.utf8)) == .nanoseconds(nanoseconds))
  }

  @Test(
    "what is no timeout is refused",
    arguments: ["", "S", "1", "123456789n", "-1S", "1.5S", "1s", " 1S", "1S "])
  func badTimeout(text: String) {
    #expect(TimeoutHeader.parse(Array(text.utf8)) == nil)
  }

  @Test(
    "a timeout is written with the finest unit that fits and never rounded up",
    arguments: [
      (-1, "0n"), (0, "0n"), (99_999_999, "99999999n"), (100_000_000, "100000u"),
      (1_999_999_999_999, "1999999m"),
      (Int64.max, "2562047H"),
    ])
  func formatTimeout(nanoseconds: Int64, text: String) {
    #expect(TimeoutHeader.format(.nanoseconds(nanoseconds)) == text)
  }

  @Test("an error survives the trip through its details")
  func details() throws {
    let error = RPCError(
      .notFound, "no such store", reason: "STORE_NOT_FOUND",
      violations: [.init(field: "a", code: "B", message: "c"), .init(field: "", code: "", message: "")],
      details: ["k": "v", "": ""], retryAfter: .seconds(3) + .nanoseconds(5))
    var decoded = RPCError(.notFound, "no such store")
    StatusDetails.decode(try #require(StatusDetails.encode(error)), into: &decoded)
    #expect(decoded == error)
  }

  @Test("details that end early or make no sense change nothing and break nothing")
  func damagedDetails() throws {
    let bytes = try #require(
      StatusDetails.encode(
        RPCError(.notFound, "x", reason: "R", details: ["k": "v"], retryAfter: .seconds(1))))
    for count in 0..<bytes.count {
      var error = RPCError(.notFound, "x")
      StatusDetails.decode(Array(bytes.prefix(count)), into: &error)
      #expect(error.code == .notFound)
    }
    var error = RPCError(.notFound, "x")
    StatusDetails.decode([UInt8](repeating: 0xff, count: 64), into: &error)
    #expect(error == RPCError(.notFound, "x"))
  }

  @Test(
    "A time to wait that nobody could is passed over",
    arguments: [Duration.seconds(Int64.max), .seconds(315_576_000_001), .seconds(-1)])
  func impossibleRetryAfter(time: Duration) throws {
    let bytes = try #require(StatusDetails.encode(RPCError(.unavailable, "", reason: "R", retryAfter: time)))
    var error = RPCError(.unavailable, "")
    StatusDetails.decode(bytes, into: &error)
    #expect(error == RPCError(.unavailable, "", reason: "R"))
  }

  @Test(
    "an address is read",
    arguments: [
      ("127.0.0.1:5001", RPCAddress.tcp(host: "127.0.0.1", port: 5001)),
      ("[::1]:0", .tcp(host: "::1", port: 0)),
      ("store:80", .tcp(host: "store", port: 80)), ("unix:/run/x", .unix(path: "/run/x")),
      ("/run/x", .unix(path: "/run/x")),
    ])
  func address(text: String, address: RPCAddress) throws {
    #expect(try RPCAddress(text) == address)
  }

  @Test(
    "what is no address is refused",
    arguments: ["", "5001", "host", "host:", "host:70000", ":80", "unix:", "h:-1"])
  func badAddress(text: String) {
    #expect(throws: RPCAddressError.self) { try RPCAddress(text) }
  }

  @Test("the pause between connection attempts grows from a second to two minutes, with jitter around it")
  func backoff() {
    let backoff = Backoff()
    #expect(backoff.pause(failures: 1, random: 0) == .seconds(1))
    #expect(backoff.pause(failures: 2, random: 0) == .seconds(1) * 1.6)
    #expect(backoff.pause(failures: 1000, random: 0) == .seconds(120))
    #expect(backoff.pause(failures: 1, random: -1) == .seconds(1) * 0.8)
    #expect(backoff.pause(failures: 1, random: 1) == .seconds(1) * 1.2)
  }

  @Test("each method is found by its path, and nothing else is", arguments: [0, 1, 7, 8, 100])
  func methodTable(count: Int) {
    let methods = (0..<count).map { MethodDefinition.unary("Method\($0)") { message, _ in message } }
    let table = MethodTable(
      [ServiceDefinition(name: "a.B", methods: methods)], configuration: .init(address: .inProcess(.init())))
    func find(_ path: String) -> String? { Array(path.utf8).withUnsafeBytes { table.find($0)?.path } }
    for index in 0..<count { #expect(find("/a.B/Method\(index)") == "/a.B/Method\(index)") }
    for path in ["", "/", "/a.B/Method", "/a.B/Method\(count)", "/a.B/Method0/"] {
      #expect(find(path) == nil)
    }
  }
}
