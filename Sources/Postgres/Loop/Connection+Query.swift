internal import CLibpq
internal import NIOCore

/// Scripts and copies: what pipeline mode does not allow, on a connection that leaves it for as long.
extension Connection {
  /// Chunks of a copy out are about this large.
  private static let chunkSize = 64 * 1024

  /// Whether the socket should be read: not while a copy out is ahead of its reader, who so slows the server down.
  var wantsRead: Bool { query.phase != .copyingOut || chunk.readableBytes < Self.chunkSize }

  func begin(_ operation: QueryOperation, finished: inout [any Resumable]) {
    guard failure == nil else { return resolve(operation, .failure(lost), &finished) }
    guard self.operation == nil, pipeline.isEmpty, fits(operation.kind) else {
      let error = PostgresError(
        .misuse, "a script or copy needs the connection to itself, one step at a time")
      return resolve(operation, .failure(error), &finished)
    }
    self.operation = operation
    switch operation.kind {
    case .script(let sql), .startCopy(let sql): start(sql)
    case .write(let bytes): write(bytes)
    case .endCopy(let message):
      guard PQputCopyEnd(handle, message) == 1 else { return failWithMessage() }
      _ = query.receive(.dataEnded)
      flush()
      // If the copy failed on the way its error has long been read, and nothing more will come.
      continueQuery()
    case .read: continueQuery()
    }
    settle(&finished)
  }

  private func fits(_ kind: QueryOperation.Kind) -> Bool {
    switch kind {
    case .script, .startCopy: query.phase == .idle
    case .write, .endCopy: query.phase == .copyingIn
    case .read: query.phase != .copyingIn
    }
  }

  private var lost: PostgresError { failure ?? PostgresError(.connectionLost, "the connection is closed") }

  private func start(_ sql: String) {
    (queryError, queryRows, hasCopyStarted, chunk) = (nil, 0, false, ByteBuffer())
    guard PQexitPipelineMode(handle) == 1, PQsendQuery(handle, sql) == 1 else { return failWithMessage() }
    query.begin()
    flush()
  }

  private func write(_ bytes: ByteBuffer) {
    let isTaken = bytes.withUnsafeReadableBytes { bytes in
      PQputCopyData(handle, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(bytes.count)) == 1
    }
    if isTaken { flush() } else { failWithMessage() }
  }

  /// Takes what libpq has read of a script's or copy's answers.
  func continueQuery() {
    while failure == nil {
      if query.phase == .copyingOut {
        guard wantsRead, readRow() else { return }
        continue
      }
      guard query.phase == .running, PQisBusy(handle) == 0 else { return }
      let result = PQgetResult(handle)
      defer { if let result { PQclear(result) } }
      switch query.receive(event(result)) {
      case .none: break
      case .started: hasCopyStarted = true
      case .finished:
        if PQenterPipelineMode(handle) != 1 { failWithMessage() }
      case .violation: fail(PostgresError(.connectionLost, "unexpected answer to a script or copy"))
      }
      if query.phase == .copyingIn { return }
    }
  }

  private func event(_ result: OpaquePointer?) -> SimpleQuery.Event {
    guard let result else { return .end }
    switch PQresultStatus(result) {
    case PGRES_COPY_IN: return .copyInReady
    case PGRES_COPY_OUT: return .copyOutReady
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
      queryRows = StatementResult.affectedRows(result)
      return .result
    default:
      let error = PostgresError(result, statement: nil)
      if queryError == nil { queryError = error }
      if error.endsConnection || error.kind == .connectionLost { fail(error) }
      return .error
    }
  }

  /// Appends one row to the chunk; false when there is none to be had now.
  private func readRow() -> Bool {
    var row: UnsafeMutablePointer<CChar>?
    let count = PQgetCopyData(handle, &row, 1)
    switch count {
    case 0: return false
    case -1, -2:
      // Ended, or failed; either way the result says more.
      _ = query.receive(.dataEnded)
      return true
    default:
      guard let row else { return false }
      chunk.writeBytes(UnsafeRawBufferPointer(start: row, count: Int(count)))
      PQfreemem(row)
      return true
    }
  }

  /// Gives the operation under way its outcome, if there is one by now.
  func settle(_ finished: inout [any Resumable]) {
    guard let operation, let outcome = outcome(operation.kind) else { return }
    self.operation = nil
    resolve(operation, outcome, &finished)
  }

  private func outcome(_ kind: QueryOperation.Kind) -> Result<QueryOperation.Outcome, any Error>? {
    if let failure { return .failure(queryError ?? failure) }
    switch kind {
    case .write: return wantsWrite ? nil : .success(.done(rows: 0))
    case .startCopy:
      if hasCopyStarted { return .success(.done(rows: 0)) }
      guard query.phase == .idle else { return nil }
      return .failure(queryError ?? PostgresError(.misuse, "not a COPY through this connection"))
    case .script, .endCopy:
      guard query.phase == .idle else { return nil }
      return queryError.map { .failure($0) } ?? .success(.done(rows: queryRows))
    case .read:
      let isOver = query.phase == .idle
      if chunk.readableBytes >= Self.chunkSize || isOver && chunk.readableBytes > 0 { return takeChunk() }
      guard isOver else { return nil }
      return queryError.map { .failure($0) } ?? .success(.done(rows: queryRows))
    }
  }

  private func takeChunk() -> Result<QueryOperation.Outcome, any Error> {
    defer {
      chunk = ByteBuffer()
      chunk.reserveCapacity(Self.chunkSize + Self.chunkSize / 8)
    }
    return .success(.chunk(chunk))
  }

  func resolve(
    _ operation: QueryOperation, _ outcome: Result<QueryOperation.Outcome, any Error>,
    _ finished: inout [any Resumable]
  ) {
    if operation.finish(outcome) { finished.append(operation) }
  }
}
