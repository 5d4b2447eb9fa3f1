package import Postgres

/// A run of a job that failed.
package struct FailedRun: Sendable, Hashable {
  /// Which it was, from 1.
  package var attempt: Int
  package var at: PostgresTimestamp
  /// How long it had been running.
  package var took: Duration
  /// What failures are grouped by.
  package var code: String
  /// For people: those who run the service, unless `isTold`.
  package var message: String
  /// The message was written for whoever the job is done for, by its handler.
  package var isTold: Bool

  /// The columns that `decode` reads, of the column `failures` that stations keep: a list each, in their order.
  static let columns = """
    ARRAY(SELECT (f->>'attempt')::int FROM \(each)), ARRAY(SELECT (f->>'at')::timestamptz FROM \(each)),
    ARRAY(SELECT (f->>'ms')::bigint FROM \(each)), ARRAY(SELECT f->>'code' FROM \(each)),
    ARRAY(SELECT f->>'message' FROM \(each)),
    ARRAY(SELECT coalesce((f->>'isTold')::boolean, false) FROM \(each))
    """
  private static let each = "jsonb_array_elements(failures) WITH ORDINALITY AS e (f, n) ORDER BY n"

  static func decode(_ row: inout RowReader) throws -> [FailedRun] {
    let attempts = try row.next([Int32].self)
    let times = try row.next([PostgresTimestamp].self)
    let milliseconds = try row.next([Int64].self)
    let codes = try row.next([String].self)
    let messages = try row.next([String].self)
    let told = try row.next([Bool].self)
    return attempts.indices.map { index in
      FailedRun(
        attempt: Int(attempts[index]), at: times[index], took: .milliseconds(milliseconds[index]),
        code: codes[index], message: messages[index], isTold: told[index])
    }
  }
}
