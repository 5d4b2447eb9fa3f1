import Crypto
import NIOCore
import Postgres

/// SHA-256 of a token. Enough, where a password would need more: tokens are random, and nobody can try them all.
struct TokenHash: Hashable, Sendable {
  let bytes: [UInt8]

  init(of text: String) { bytes = Array(SHA256.hash(data: Array(text.utf8))) }
}

extension TokenHash: PostgresEncodable {
  static var postgresType: PostgresType { .bytea }
  func encode(into writer: inout WireWriter) { writer.write(contentsOf: bytes) }
}
