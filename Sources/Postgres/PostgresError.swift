internal import CLibpq

/// Why a statement, a transaction or a copy did not succeed.
package struct PostgresError: Error, Hashable, Sendable {
  package enum Kind: Hashable, Sendable {
    /// The server refused: see `sqlState`.
    case server
    /// No connection could be had. Nothing was sent.
    case unavailable
    /// The connection broke before the answer came.
    case connectionLost
    /// As many callers wait already as are allowed to. Nothing was sent.
    case queueFull
    /// The caller's deadline, or the limit on waiting, passed.
    case deadlineExceeded
    /// The answer is not what the statement's type promises.
    case decoding
    /// The client was used in a way it does not support, such as a statement during a copy.
    case misuse
  }

  package var kind: Kind
  /// Whether the statement may have taken effect all the same. Where false it is safe to try again.
  package var maybeApplied = false
  /// The statement's name.
  package var statement: String?

  package var sqlState: SQLState?
  /// `ERROR`, `FATAL` or `PANIC`, whatever the server's language.
  package var severity: String?
  package var message: String
  package var detail: String?
  package var hint: String?
  package var schema: String?
  package var table: String?
  package var column: String?
  package var constraint: String?
  /// Where in the SQL, in characters from 1.
  package var position: Int?
  /// The function of the server that reported this.
  package var routine: String?

  package init(_ kind: Kind, _ message: String, maybeApplied: Bool = false, statement: String? = nil) {
    self.kind = kind
    self.message = message
    self.maybeApplied = maybeApplied
    self.statement = statement
  }
}

extension PostgresError {
  /// Whether a transaction that met this succeeds when it is run again from its start.
  package var isTransactionConflict: Bool {
    sqlState == .serializationFailure || sqlState == .deadlockDetected
  }

  /// A prepared statement that is missing, or whose columns changed since ("cached plan must not change result
  /// type", which has no SQLSTATE of its own). The request did nothing, and does not fail so a second time.
  var isStalePlan: Bool {
    sqlState == .invalidStatementName
      || sqlState == .featureNotSupported && routine == "RevalidateCachedQuery"
  }

  /// The server ended this connection in so many words, so nothing behind this statement was run.
  var endsConnection: Bool { severity == "FATAL" || severity == "PANIC" }

  static func decoding(_ complaint: String, statement: String) -> PostgresError {
    PostgresError(.decoding, complaint, statement: statement)
  }

  /// The error in a result. The codes are those of `postgres_ext.h`.
  init(_ result: OpaquePointer, statement: String?) {
    func field(_ code: Unicode.Scalar) -> String? {
      PQresultErrorField(result, Int32(bitPattern: code.value)).map { String(cString: $0) }
    }
    let state = field("C")
    // An error without a SQLSTATE is libpq's own: the connection is gone.
    self.init(
      state == nil ? .connectionLost : .server,
      field("M") ?? PostgresError.line(PQresultErrorMessage(result)), statement: statement)
    sqlState = state.map(SQLState.init(rawValue:))
    severity = field("V")
    detail = field("D")
    hint = field("H")
    schema = field("s")
    table = field("t")
    column = field("c")
    constraint = field("n")
    routine = field("R")
    position = field("P").flatMap { Int($0) }
  }

  /// libpq's own messages end in a newline and may have several, the later ones indented.
  static func line(_ text: UnsafePointer<CChar>?) -> String {
    guard let text else { return "no message" }
    return String(cString: text).split { $0 == "\n" || $0 == "\t" }.joined(separator: " ")
  }
}

extension PostgresError: CustomStringConvertible {
  /// One line for logs. Holds no parameter values except those the server puts into `detail`.
  package var description: String {
    var parts = ["\(kind)"]
    if let sqlState { parts.append(sqlState.rawValue) }
    if let statement { parts.append("in \(statement)") }
    var text = parts.joined(separator: " ") + ": " + message
    if let detail { text += " (\(detail))" }
    if let constraint { text += " [constraint \(constraint)]" }
    if let position { text += " [at character \(position)]" }
    if maybeApplied { text += " [may have been applied]" }
    return text
  }
}
