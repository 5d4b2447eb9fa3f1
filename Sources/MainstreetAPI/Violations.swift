internal import RPC
internal import Schema

// What generated `validate` calls.
extension [FieldViolation] {
  /// Most violations one request is told of: they travel in trailers, which have a limit of 8 KiB.
  private static var limit: Int { 20 }

  mutating func add(_ field: @autoclosure () -> String, _ violation: RuleViolation?) {
    guard let violation, count < Self.limit else { return }
    append(FieldViolation(field: field(), code: violation.code, message: violation.message))
  }

  /// The violations of a message within a field, told with the path to it.
  mutating func add(_ field: @autoclosure () -> String, in message: some RPC.Message) {
    let start = count
    message.validate(into: &self)
    guard count > start else { return }
    let field = field()
    for index in start..<count {
      let inner = self[index].field
      self[index].field = inner.isEmpty ? field : "\(field).\(inner)"
    }
  }
}
