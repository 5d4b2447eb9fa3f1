import Crypto
import MainstreetAPI
import NIOHTTP1

/// What a request shows of who it comes from. Never printed: it is as good as its owner.
enum Credential: Sendable {
  case apiKey(String)
  case accessToken(String)

  /// Nil when the request shows none.
  /// - Throws: 400 when it shows more than one, 401 when what it shows can be none of ours. Identity is not asked about
  ///   that.
  static func of(_ headers: HTTPHeaders) throws(Problem) -> Credential? {
    let keys = headers["x-api-key"]
    let authorizations = headers["authorization"]
    guard keys.count + authorizations.count <= 1 else {
      throw .unauthorized(
        "SEVERAL_CREDENTIALS", "A request shows either an API key or an access token, once.",
        error: "invalid_request", status: 400)
    }
    if let key = keys.first {
      guard APIKeyForm.matches(key) else {
        throw .unauthorized("INVALID_API_KEY", "The API key is not valid.", error: "invalid_token")
      }
      return .apiKey(key)
    }
    guard let authorization = authorizations.first else { return nil }
    let parts = authorization.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else {
      throw .unauthorized("UNAUTHENTICATED", "Authorization takes the scheme Bearer here.")
    }
    let token = String(parts[1].drop { $0 == " " })
    guard isTokenForm(token) else {
      throw .unauthorized("INVALID_TOKEN", "The access token is not valid.", error: "invalid_token")
    }
    return .accessToken(token)
  }

  private static let maxTokenBytes = 4096

  /// Three parts in base64url, as a signed JWT has them (RFC 7515).
  private static func isTokenForm(_ token: String) -> Bool {
    guard token.utf8.count <= maxTokenBytes else { return false }
    let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    return parts.count == 3 && parts.allSatisfy { !$0.isEmpty && $0.allSatisfy(isBase64URL) }
  }

  private static func isBase64URL(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// What it is remembered by: nobody who reads our memory can call with that.
  var digest: CredentialDigest {
    switch self {
    case .apiKey(let text): CredentialDigest(kind: 1, text)
    case .accessToken(let text): CredentialDigest(kind: 2, text)
    }
  }

  func exchangeRequest(from address: String) -> ExchangeCredentialRequest {
    switch self {
    case .apiKey(let text): ExchangeCredentialRequest(credential: .apiKey(text), address: address)
    case .accessToken(let text): ExchangeCredentialRequest(credential: .accessToken(text), address: address)
    }
  }
}

/// SHA-256 of a credential.
struct CredentialDigest: Hashable, Sendable {
  private let words: (UInt64, UInt64, UInt64, UInt64)

  fileprivate init(kind: UInt8, _ text: String) {
    var hash = SHA256()
    withUnsafeBytes(of: kind) { hash.update(bufferPointer: $0) }
    var text = text
    text.withUTF8 { hash.update(bufferPointer: UnsafeRawBufferPointer($0)) }
    words = hash.finalize().withUnsafeBytes { $0.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self) }
  }

  static func == (left: Self, right: Self) -> Bool { left.words == right.words }

  func hash(into hasher: inout Hasher) {
    // Any eight bytes of a SHA-256 are as good a hash as there is; the hasher's seed keeps it from being aimed at.
    hasher.combine(words.0)
  }
}

extension Problem {
  /// A refusal that says how to do better (RFC 6750 §3). Who showed nothing is told no error.
  static func unauthorized(
    _ code: String, _ detail: String, error: String? = nil, scope: String? = nil, status: Int = 401
  ) -> Problem {
    var problem = Problem(status, code, detail)
    var challenge = "Bearer realm=\"mainstreet\""
    if let error { challenge += ", error=\"\(error)\", error_description=\"\(detail.quotable)\"" }
    if let scope { challenge += ", scope=\"\(scope.quotable)\"" }
    problem.headers = [("WWW-Authenticate", challenge)]
    return problem
  }
}

extension String {
  /// What RFC 6750 lets stand in a quoted string: printable ASCII but quotes and backslashes.
  fileprivate var quotable: String {
    String(
      decoding: utf8.filter {
        (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
      },
      as: UTF8.self)
  }
}
