import NIOHTTP1
import ServiceKit

/// Who a request acts for. Until identities exist, everyone is the development principal.
struct Credentials: Sendable {
  /// As it travels in RPC metadata.
  let principal: String
  /// For the access log.
  let tenant: String
  private let apiKey: String?

  /// - Parameters:
  ///   - principal: `v0;tenant=<uuid>;subject=<text>;roles=<role>,<role>`
  ///   - apiKey: the one key that is accepted; a request may also come without any.
  /// - Throws: `StartupFailure` when the principal cannot be read.
  init(developmentPrincipal principal: String, apiKey: String?) throws {
    guard let parsed = Principal(development: principal) else {
      throw StartupFailure(
        "the development principal must be v0;tenant=<uuid>;subject=<text>;roles=<role>,<role>, not \"\(principal)\""
      )
    }
    self.principal = principal
    self.tenant = parsed.tenant
    self.apiKey = apiKey
  }

  /// Whether the request may act as the principal: without a key, or with the right one.
  func accept(_ headers: HTTPHeaders) -> Bool {
    guard let given = headers.first(name: "x-api-key") else { return true }
    guard let apiKey else { return false }
    return Self.isEqual(given.utf8, apiKey.utf8)
  }

  /// Takes as long whichever byte differs, so that a key cannot be guessed byte by byte.
  private static func isEqual(_ given: String.UTF8View, _ expected: String.UTF8View) -> Bool {
    guard given.count == expected.count else { return false }
    return zip(given, expected).reduce(into: UInt8(0)) { $0 |= $1.0 ^ $1.1 } == 0
  }
}
