import NIOCore
import NIOHTTP1
import Testing

@testable import Edge

@Suite("A credential") struct CredentialTests {
  private static let key = apiKey()

  private func outcome(_ headers: HTTPHeaders) -> String {
    do throws(Problem) {
      switch try Credential.of(headers) {
      case .apiKey: return "key"
      case .accessToken: return "token"
      case nil: return "none"
      }
    } catch {
      return "\(error.status) \(error.code)"
    }
  }

  @Test("is a key, a token or none")
  func kinds() {
    #expect(outcome([:]) == "none")
    #expect(outcome(["X-API-Key": Self.key]) == "key")
    for header in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a-_.b.c"] {
      #expect(outcome(["Authorization": header]) == "token", "\(header)")
    }
  }

  @Test("is shown once")
  func several() {
    let token = ("Authorization", "Bearer a.b.c")
    let key = ("X-API-Key", Self.key)
    for headers in [[key, token], [key, key], [token, token]] {
      #expect(outcome(HTTPHeaders(headers)) == "400 SEVERAL_CREDENTIALS")
    }
  }

  @Test("that is no key in its form is refused without asking anybody")
  func keyForms() {
    let key = Self.key
    for text in [
      "", "msk_", "msk_dev_abc", String(key.dropLast()), key + "0", key + " ", key.uppercased(),
      key.replacing("msk_", with: "msl_"), key.replacing("_dev_", with: "_DEV_"),
      key.replacing("_dev_", with: "__"),
      key.replacing("_dev_", with: "_devx_"), String(repeating: "x", count: 10_000),
    ] {
      #expect(outcome(["X-API-Key": text]) == "401 INVALID_API_KEY", "\(text.prefix(100))")
    }
    var digits = Array(key)
    for index in digits.indices.suffix(39) where digits[index] != "_" {
      let digit = digits[index]
      digits[index] = digit == "a" ? "b" : "a"
      #expect(outcome(["X-API-Key": String(digits)]) == "401 INVALID_API_KEY", "digit \(index)")
      digits[index] = digit
    }
  }

  @Test("that is no token in its form is refused without asking anybody")
  func tokenForms() {
    for text in [
      "a.b", "a.b.c.d", "a..c", ".b.c", "a.b.", "a.b.c=", "a.b.c d", "a.b.ü",
      String(repeating: "a", count: 4096) + ".b.c",
    ] {
      #expect(outcome(["Authorization": "Bearer \(text)"]) == "401 INVALID_TOKEN", "\(text.prefix(50))")
    }
    for text in ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "a.b.c"] {
      #expect(outcome(["Authorization": text]) == "401 UNAUTHENTICATED", "\(text)")
    }
  }

  @Test("has a checksum as gzip computes it")
  func checksum() {
    // From Python: zlib.crc32(b"123456789") == 0xcbf43926, in base 62.
    #expect(String(decoding: APIKeyForm.checksum(of: "123456789".utf8), as: UTF8.self) == "3jZRME")
  }

  @Test("is remembered as one of its kind")
  func digests() {
    #expect(Credential.apiKey("a").digest == Credential.apiKey("a").digest)
    #expect(Credential.apiKey("a").digest != Credential.apiKey("b").digest)
    #expect(Credential.apiKey("a").digest != Credential.accessToken("a").digest)
  }

  @Test(
    "comes from the connection's peer, or from where our proxies say",
    arguments: [
      (0, "1.2.3.4", "10.0.0.1"), (1, "1.2.3.4", "1.2.3.4"), (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
      (2, "6.6.6.6, 1.2.3.4, 5.6.7.8", "1.2.3.4"), (2, "1.2.3.4", "10.0.0.1"), (1, "unknown", "10.0.0.1"),
      (1, " 2001:db8::1\t", "2001:db8::1"),
    ])
  func address(proxies: Int, forwarded: String, expected: String) throws {
    let address = ClientAddress(
      ["X-Forwarded-For": forwarded], peer: try .init(ipAddress: "10.0.0.1", port: 1), proxies: proxies)
    #expect(address.text == expected)
  }

  @Test("counts by the address, or by the half of an IPv6 address that a subscriber has")
  func networks() throws {
    func network(_ text: String) throws -> String {
      ClientAddress([:], peer: try .init(ipAddress: text, port: 1), proxies: 0).network
    }
    #expect(try network("10.0.0.1") == "10.0.0.1")
    #expect(try network("2001:db8:1:2:3::4") == network("2001:db8:1:2::1"))
    #expect(try network("2001:db8:1:2::1") != network("2001:db8:1:3::1"))
    #expect(try network("::ffff:10.0.0.1") == "10.0.0.1")
  }
}

/// A key in the form of ours, another for each `seed`.
func apiKey(_ seed: Int = 0) -> String {
  let digits = String(seed)
  let body = "msk_dev_" + String(repeating: "k", count: 32 - digits.count) + digits
  return body + "_" + String(decoding: APIKeyForm.checksum(of: body.utf8), as: UTF8.self)
}
