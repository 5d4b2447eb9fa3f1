internal import CLibpq
internal import Logging

/// Opens connections. This happens on a thread per attempt and not on the one that polls sockets, since libpq looks
/// up names and shakes hands for TLS without yielding, and only its blocking form gives each of several hosts a
/// timeout of its own.
struct Connector: Sendable {
  let parameters: [PostgresClient.Configuration.Parameter]
  let logger: Logger

  /// A new connection in pipeline mode that never blocks, or why there is none.
  func connect() -> Result<Connection, PostgresError> {
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
