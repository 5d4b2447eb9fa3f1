/// A failure as it is kept with its job.
struct Failure: Codable, Hashable {
  /// What failures are grouped by, 1 to 100 characters.
  var code: String
  /// For people; at most 2000 characters.
  var message: String
  /// Written for whoever the job is done for. Any other may tell of what is nobody's business outside: statements,
  /// addresses, rows.
  var isTold: Bool

  init(code: String, message: String, isTold: Bool = true) {
    self.code = Self.plain(code.isEmpty ? "UNKNOWN" : code, most: 100)
    self.message = Self.plain(message, most: 2000)
    self.isTold = isTold
  }

  /// Any error: grouped by its type.
  init(_ error: any Error) {
    self.init(code: "\(type(of: error))", message: "\(error)", isTold: false)
  }

  /// JSON, as jobs_settle takes it.
  var json: String {
    (try? Payload.text(of: self)) ?? "{}"
  }

  /// Postgres stores no NUL.
  private static func plain(_ text: String, most: Int) -> String {
    String(text.unicodeScalars.prefix(most).map { $0 == "\0" ? "\u{FFFD}" : Character($0) })
  }
}
