import NIOHTTP1

/// Which pages of other origins may call, and what they may read (Fetch, 3.2). Credentials travel in fields that a page has to
/// set itself, never in cookies, so no answer allows "credentials".
struct CORS: Sendable {
  enum Origins: Sendable, Equatable {
    case none
    /// Exactly these: scheme, host and port, as browsers write them.
    case listed(Set<String>)
    case any
  }

  var origins: Origins
  /// How long a browser may remember the answer to a preflight, in seconds.
  var maxAge = 600

  static let none = CORS(origins: .none)

  init(origins: Origins) { self.origins = origins }

  struct UnusableOrigin: Error, CustomStringConvertible {
    let text: String
    var description: String {
      "\"\(text)\" is not an origin: scheme://host or scheme://host:port in lower case, without a path, or * for all"
    }
  }

  /// - Parameter text: origins with commas between them, or `*`; none when it is empty.
  init(_ text: String) throws(UnusableOrigin) {
    let parts = text.split(separator: ",").map { $0.filter { $0 != " " } }.filter { !$0.isEmpty }
    if parts == ["*"] {
      origins = .any
    } else {
      for part in parts where !Self.isOrigin(part) { throw UnusableOrigin(text: part) }
      origins = parts.isEmpty ? .none : .listed(Set(parts))
    }
  }

  /// One that is written otherwise than browsers do would never match, and nobody would know why.
  private static func isOrigin(_ text: String) -> Bool {
    guard let scheme = ["https://", "http://"].first(where: text.hasPrefix) else { return false }
    let authority = text.dropFirst(scheme.count)
    return !authority.isEmpty && authority == authority.lowercased()
      && authority.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"/?#@*".utf8.contains($0) }
      && !authority.hasSuffix(scheme == "https://" ? ":443" : ":80")
  }

  /// What a page may read of an answer besides the fields that are harmless to all.
  static let exposed = "ETag, Idempotency-Replayed, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"

  /// What a page may send besides those, in lower case.
  static let accepted: Set<String> = [
    "accept", "accept-language", "authorization", "content-language", "content-type", "idempotency-key",
    "if-none-match",
    "range", "traceparent", "tracestate", "x-api-key", "x-idempotency-key", "x-request-id",
  ]

  /// Adds what the page that asked needs to see the answer. That it depends on the origin is said to all: a cache must not
  /// give one page the answer to another.
  func addFields(to response: inout HTTPResponseHead, for request: HTTPRequestHead) {
    guard origins != .none else { return }
    response.vary.append("Origin")
    guard let allowed = allowedOrigin(of: request) else { return }
    response.headers.append(("Access-Control-Allow-Origin", allowed))
    response.headers.append(("Access-Control-Expose-Headers", Self.exposed))
  }

  private func allowedOrigin(of request: HTTPRequestHead) -> String? {
    guard let origin = request.headers.first(name: "origin") else { return nil }
    return switch origins {
    case .none: nil
    case .any: "*"
    case .listed(let list): list.contains(origin) ? origin : nil
    }
  }

  /// What a preflight asks for, which is an OPTIONS of a page of another origin; nil for any other request.
  func preflight(_ request: HTTPRequestHead) -> Preflight? {
    guard origins != .none, request.method == .OPTIONS, request.headers.contains(name: "origin"),
      let method = request.headers.first(name: "access-control-request-method")
    else { return nil }
    let headers = request.headers[canonicalForm: "access-control-request-headers"]
    return Preflight(
      method: method, headers: headers.map { $0.lowercased() }.filter { !$0.isEmpty },
      isAllowedOrigin: allowedOrigin(of: request) != nil)
  }

  /// The answer to one for a path that has these methods. It says what is allowed, and the browser compares; an origin that
  /// is not known learns nothing.
  func response(to preflight: Preflight, methods: [String]) -> HTTPResponse {
    var head = HTTPResponseHead(status: 204)
    head.vary = ["Access-Control-Request-Method", "Access-Control-Request-Headers"]
    guard preflight.isAllowedOrigin else { return HTTPResponse(head) }
    head.headers = [("Access-Control-Allow-Methods", methods.joined(separator: ", "))]
    let accepted = preflight.headers.filter { Self.accepted.contains($0) }
    if !accepted.isEmpty {
      head.headers.append(("Access-Control-Allow-Headers", accepted.joined(separator: ", ")))
    }
    head.headers.append(("Access-Control-Max-Age", "\(maxAge)"))
    return HTTPResponse(head)
  }

  struct Preflight: Sendable, Equatable {
    var method: String
    /// In lower case.
    var headers: [String]
    var isAllowedOrigin: Bool
  }
}
