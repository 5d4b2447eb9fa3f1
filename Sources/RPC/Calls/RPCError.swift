/// The status a call ends with when it does not succeed. Thrown by handlers and by the client.
package struct RPCError: Error, Hashable, Sendable {
  package var code: StatusCode
  /// Shown to the caller; holds no SQL, stack or internal address.
  package var message: String
  /// Stable domain code, e.g. `STORE_NOT_FOUND`; travels as `google.rpc.ErrorInfo.reason`.
  package var reason: String?
  /// Travels as `google.rpc.BadRequest`.
  package var violations: [FieldViolation]
  /// Domain extras; travel as `google.rpc.ErrorInfo.metadata`.
  package var details: [String: String]
  package var retryAfter: Duration?

  package init(
    _ code: StatusCode, _ message: String, reason: String? = nil,
    violations: [FieldViolation] = [], details: [String: String] = [:], retryAfter: Duration? = nil
  ) {
    self.code = code
    self.message = message
    self.reason = reason
    self.violations = violations
    self.details = details
    self.retryAfter = retryAfter
  }
}
