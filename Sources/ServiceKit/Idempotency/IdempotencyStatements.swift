internal import Crypto
internal import NIOCore
internal import Postgres
internal import RPC

/// Whose key it is, and for what.
struct KeyedCall: Hashable, Sendable {
  var tenant: UUID
  var subject: String
  var method: String
  var key: String
}

/// What tells two requests apart: SHA-256 of the message as this version of the service writes it, so that neither the
/// order of fields in JSON nor what the service does not know makes one request two.
enum RequestHash {
  static func of(_ request: some Message) -> ByteBuffer {
    ByteBuffer(bytes: SHA256.hash(data: Array(buffer: request.encoded())))
  }
}

/// An answer that was kept for a key; without one the first call is still running.
struct KeptAnswer: Sendable {
  var hash: ByteBuffer?
  var code: Int16?
  var isSealed: Bool
  var answer: ByteBuffer?
  /// Names and values in turn.
  var metadata: [String]

  var pairs: [(String, String)] {
    stride(from: 0, to: metadata.count - 1, by: 2).map { (metadata[$0], metadata[$0 + 1]) }
  }
}

/// Takes the key for the rest of the transaction; see idempotency_claim. No row: it is this call's.
struct ClaimKey: Statement {
  static let name = "ClaimKey"
  static let sql = """
    SELECT request_hash, code, coalesce(is_sealed, false), answer, coalesce(metadata, '{}')
    FROM idempotency_claim($1, $2, $3, $4, $5)
    """
  var call: KeyedCall
  var at: PostgresTimestamp

  func bind(into bindings: inout Bindings) {
    bindings.append(call)
    bindings.append(at)
  }

  static func decode(_ row: inout RowReader) throws -> KeptAnswer {
    KeptAnswer(
      hash: try row.next(), code: try row.next(), isSealed: try row.next(), answer: try row.next(),
      metadata: try row.next())
  }
}

/// The key is claimed, so that what it may find there has expired.
struct KeepAnswer: Statement {
  static let name = "KeepAnswer"
  static let sql = """
    INSERT INTO idempotency_keys
      (tenant_id, subject, method, key, request_hash, code, is_sealed, answer, metadata, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT ON CONSTRAINT idempotency_keys_pkey DO UPDATE SET
      request_hash = excluded.request_hash, code = excluded.code, is_sealed = excluded.is_sealed,
      answer = excluded.answer, metadata = excluded.metadata, expires_at = excluded.expires_at
    """
  var call: KeyedCall
  var hash: ByteBuffer
  var code: Int16
  var isSealed: Bool
  var answer: ByteBuffer
  var metadata: [String]
  var expiresAt: PostgresTimestamp

  func bind(into bindings: inout Bindings) {
    bindings.append(call)
    bindings.append(hash)
    bindings.append(code)
    bindings.append(isSealed)
    bindings.append(answer)
    bindings.append(metadata)
    bindings.append(expiresAt)
  }
}

/// Deletes at most so many of those that have expired, and returns how many.
struct SweepKeys: Statement {
  static let name = "SweepKeys"
  static let sql = "SELECT idempotency_sweep($1)"
  static let isIdempotent = true
  var most: Int

  func bind(into bindings: inout Bindings) { bindings.append(Int32(clamping: most)) }

  static func decode(_ row: inout RowReader) throws -> Int { Int(try row.next(Int32.self)) }
}

extension Bindings {
  fileprivate mutating func append(_ call: KeyedCall) {
    append(call.tenant)
    append(call.subject)
    append(call.method)
    append(call.key)
  }
}

extension PostgresTimestamp {
  func advanced(by duration: Duration) -> PostgresTimestamp {
    PostgresTimestamp(microseconds: microseconds + Int64(duration / .microseconds(1)))
  }
}
