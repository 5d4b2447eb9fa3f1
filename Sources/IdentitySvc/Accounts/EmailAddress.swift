import Crypto
import ServiceKit

/// An address as it was written and as it is compared: people do not remember which letters they wrote large.
struct EmailAddress: Hashable, Sendable {
  let text: String
  let key: String

  init(_ text: String) {
    self.text = text
    key = text.lowercased()
  }

  /// Names it in counts of failures, which need not tell who has tried to sign in.
  var digest: String { Base64URL.encode(SHA256.hash(data: Array(key.utf8)).prefix(16)) }
}
