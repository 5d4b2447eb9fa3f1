internal import CLibpq
internal import Logging

/// Opens connections. This happens on a thread per attempt and not on the one that polls sockets, since libpq looks
/// up names and shakes hands for TLS without yielding, and only its blocking form gives each of several hosts a
/// timeout of its own.
struct Connector: Sendable {
  let parameters: [PostgresClient.Configuration.Parameter]
  let logger: Logger

  /// How long the server's system may leave unacknowledged what it was sent before the connection is given up, in
  /// milliseconds, unless the URL says so. It acknowledges at once, however long a statement takes: so a host that vanished
  /// without a word keeps a request waiting for so long, and only those that were under way; callers after them are told
  /// that there is no connection.
  private static let silence = "3000"
  /// The same for connections that may copy. A server that takes nothing in, since its disk stands still, counts as silent,
  /// too; rather than lose a copy of a million rows, whoever has a transaction waits longer for a host that vanished.
  private static let silenceOfCopies = "20000"

  /// A new connection in pipeline mode that never blocks, or why there is none.
  func connect(mayCopy: Bool) -> Result<Connection, PostgresError> {
    // The arrays end in a null, as C has it.
    var keywords: [UnsafePointer<CChar>?] = []
    var values: [UnsafePointer<CChar>?] = []
    var copies: [UnsafeMutableBufferPointer<CChar>] = []
    defer { for copy in copies { copy.deallocate() } }
    func copy(_ text: String) -> UnsafePointer<CChar>? {
      let bytes = text.utf8CString
      let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: bytes.count)
      _ = copy.initialize(from: bytes)
      copies.append(copy)
      return UnsafePointer(copy.baseAddress)
    }
    if !parameters.contains(where: { $0.name == "tcp_user_timeout" }) {
      keywords.append(copy("tcp_user_timeout"))
      values.append(copy(mayCopy ? Self.silenceOfCopies : Self.silence))
    }
    for parameter in parameters {
      keywords.append(copy(parameter.name))
      values.append(copy(parameter.value))
    }
    guard let handle = PQconnectdbParams(keywords + [nil], values + [nil], 0) else {
      return .failure(PostgresError(.unavailable, "out of memory"))
    }
    guard PQstatus(handle) == CONNECTION_OK else {
      defer { PQfinish(handle) }
      return .failure(PostgresError(.unavailable, PostgresError.line(PQerrorMessage(handle))))
    }
    guard PQsetnonblocking(handle, 1) == 0, PQenterPipelineMode(handle) == 1 else {
      defer { PQfinish(handle) }
      return .failure(PostgresError(.unavailable, "the connection cannot do pipelines"))
    }
    return .success(Connection(owning: handle, logger: logger))
  }
}
