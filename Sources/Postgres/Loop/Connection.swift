internal import CLibpq
internal import Logging
internal import NIOCore

/// One libpq connection: turns requests into calls of libpq, and its answers into events for `Pipeline` and
/// `SimpleQuery`, which decide. Touched by the connections' thread alone.
final class Connection: @unchecked Sendable {
  let handle: OpaquePointer
  private let logger: Logger
  private(set) var pipeline = Pipeline<Request>()
  /// Why the connection is of no use any more.
  private(set) var failure: PostgresError?
  /// The error with which the server said that it ends the connection.
  private(set) var farewell: PostgresError?
  /// Takes no more requests, and is closed when it has answered what it was given.
  var isRetired = false
  /// Bytes are waiting for room in the socket.
  private(set) var wantsWrite = false
  /// When something last came in, or was sent on an idle connection.
  var lastProgress = NIODeadline.distantPast

  // A script or a copy; see Connection+Query.
  var query = SimpleQuery()
  var operation: QueryOperation?
  var queryError: PostgresError?
  var queryRows = 0
  /// The copy has begun; its data may all have come by the time anybody looks.
  var hasCopyStarted = false
  var chunk = ByteBuffer()

  private var prepared: [ObjectIdentifier: Prepared] = [:]
  private var preparedCount = 0
  private var values: [UnsafePointer<CChar>?] = []
  private var lengths: [Int32] = []
  /// All ones: every parameter is binary.
  private var formats: [Int32] = []

  private struct Prepared {
    let name: ContiguousArray<CChar>
  }

  init(owning handle: OpaquePointer, logger: Logger) {
    self.handle = handle
    self.logger = logger
    // The default receiver writes to stderr.
    PQsetNoticeReceiver(
      handle,
      { context, result in
        guard let context, let result else { return }
        let connection = Unmanaged<Connection>.fromOpaque(context).takeUnretainedValue()
        let notice = PostgresError(result, statement: nil)
        connection.logger.debug("Postgres says: \(notice.severity ?? "NOTICE"): \(notice.message)")
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  deinit { PQfinish(handle) }

  var socket: Int32 { PQsocket(handle) }

  /// Nothing is under way and no transaction is open.
  var isIdle: Bool {
    failure == nil && pipeline.isEmpty && query.phase == .idle && operation == nil
      && PQtransactionStatus(handle) == PQTRANS_IDLE
  }

  func fail(_ error: PostgresError) {
    if failure == nil { failure = error }
  }

  func failIfRetired() {
    if isRetired, pipeline.isEmpty { fail(PostgresError(.connectionLost, "the server takes no writes")) }
  }

  /// The libpq call did not do what it must. Its own words go into the error.
  func failWithMessage() {
    fail(PostgresError(.connectionLost, PostgresError.line(PQerrorMessage(handle))))
  }

  // MARK: Sending

  /// Hands a request and its Sync to libpq. Returns false if the connection was lost before any of it was.
  func send(_ request: Request, now: NIODeadline) -> Bool {
    if pipeline.isEmpty { lastProgress = now }
    request.attempts += 1
    var prepares: UInt64 = 0
    for (index, step) in request.steps.enumerated() {
      guard send(step, avoidsPrepared: request.avoidsPrepared, prepares: &prepares, bit: 1 << UInt64(index))
      else {
        failWithMessage()
        request.attempts -= index == 0 ? 1 : 0
        if index > 0 { pipeline.send(request, steps: request.steps.count, prepares: prepares) }
        return index > 0
      }
    }
    pipeline.send(request, steps: request.steps.count, prepares: prepares)
    if PQpipelineSync(handle) != 1 { failWithMessage() }
    return true
  }

  private func send(_ step: Step, avoidsPrepared: Bool, prepares: inout UInt64, bit: UInt64) -> Bool {
    let bindings = step.bindings
    let count = Int32(bindings.types.count)
    return withParameters(bindings) { values, lengths, formats in
      guard let id = step.id, !avoidsPrepared else {
        return PQsendQueryParams(
          handle, step.sql, count, bindings.types, values, lengths, formats, 1) == 1
      }
      if let known = prepared[id] {
        return known.name.withUnsafeBufferPointer {
          PQsendQueryPrepared(handle, $0.baseAddress, count, values, lengths, formats, 1) == 1
        }
      }
      preparedCount += 1
      let new = Prepared(name: "\(step.name) \(preparedCount)".utf8CString)
      prepared[id] = new
      prepares |= bit
      return new.name.withUnsafeBufferPointer {
        PQsendPrepare(handle, $0.baseAddress, step.sql, count, bindings.types) == 1
          && PQsendQueryPrepared(handle, $0.baseAddress, count, values, lengths, formats, 1) == 1
      }
    }
  }

  /// Finds the values behind their lengths; see `Bindings`.
  private func withParameters(
    _ bindings: Bindings,
    _ body: (
      UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?
    ) -> Bool
  ) -> Bool {
    bindings.writer.bytes.withUnsafeBytes { bytes in
      values.removeAll(keepingCapacity: true)
      lengths.removeAll(keepingCapacity: true)
      while formats.count < bindings.types.count { formats.append(1) }
      var position = 0
      for _ in bindings.types {
        let length = Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: Int32.self))
        position += 4
        lengths.append(max(length, 0))
        if length < 0 {
          values.append(nil)
        } else {
          // Not nil even for an empty value at the very end: nil would mean NULL.
          values.append(bytes.baseAddress.map { ($0 + position).assumingMemoryBound(to: CChar.self) })
          position += Int(length)
        }
      }
      return values.withUnsafeBufferPointer { values in
        lengths.withUnsafeBufferPointer { lengths in
          formats.withUnsafeBufferPointer { formats in
            body(values.baseAddress, lengths.baseAddress, formats.baseAddress)
          }
        }
      }
    }
  }

  /// Gives the socket what it takes.
  func flush() {
    switch PQflush(handle) {
    case 0: wantsWrite = false
    case 1: wantsWrite = true
    default: failWithMessage()
    }
  }

  // MARK: Receiving

  /// Reads what has come and hands out the requests that are answered by it.
  func receive(now: NIODeadline, _ answered: (Request) -> Void) {
    lastProgress = now
    if wantsWrite {
      // Reading sends, too, but would leave no time to look at what that reads.
      flush()
      drain(answered)
    }
    let isAlive = PQconsumeInput(handle) == 1
    // As the manual has it: after reading, libpq may be able to write again.
    if isAlive, wantsWrite { flush() }
    // Even if reading failed: what came before the failure may hold the farewell.
    drain(answered)
    if query.phase != .idle { continueQuery() }
    if !isAlive { failWithMessage() }
  }

  /// Looks at what libpq has read. Also to be called after everything that sends: when the socket is full libpq reads, to
  /// avoid a deadlock, and what it read then no poll will report. It also does when the server has gone, to learn why; its
  /// next call will find the end, and forget whose the answers were.
  func drain(_ answered: (Request) -> Void) {
    while !pipeline.isEmpty, failure == nil, PQisBusy(handle) == 0 {
      let result = PQgetResult(handle)
      let event = event(result)
      switch pipeline.receive(event) {
      case .none: clear(result)
      case .prepared: clear(result)
      case .notPrepared(let request, let step):
        if let id = request.steps[step].id { prepared[id] = nil }
        clear(result)
      case .keep(let request, let step):
        // A caller that has gone needs no rows.
        if let result, step >= request.openingCount, !request.isFinished {
          request.results.append(StatementResult(owning: result))
        } else {
          clear(result)
        }
      case .fail(let request, let step):
        if let result { note(PostgresError(result, statement: name(of: request, step)), request, step) }
        clear(result)
      case .finish(let request):
        clear(result)
        answered(request)
      case .violation(let complaint):
        clear(result)
        fail(PostgresError(.connectionLost, "unexpected answer: \(complaint)"))
      }
    }
  }

  /// The oldest notification read and not taken yet.
  func nextNotification() -> (channel: String, payload: String)? {
    guard let notification = PQnotifies(handle) else { return nil }
    defer { PQfreemem(notification) }
    let payload = notification.pointee.extra.map { String(cString: $0) } ?? ""
    return (String(cString: notification.pointee.relname), payload)
  }

  private func clear(_ result: OpaquePointer?) {
    if let result { PQclear(result) }
  }

  private func event(_ result: OpaquePointer?) -> Pipeline<Request>.Event {
    guard let result else { return .end }
    switch PQresultStatus(result) {
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: return .result
    case PGRES_PIPELINE_SYNC: return .sync
    case PGRES_PIPELINE_ABORTED: return .aborted
    default: return .error
    }
  }

  private func name(of request: Request, _ step: Int?) -> String {
    step.map { request.steps[$0].name } ?? request.name
  }

  /// Keeps the request's first error, and learns from it about prepared statements and the connection.
  private func note(_ error: PostgresError, _ request: Request, _ step: Int?) {
    if error.endsConnection || error.kind == .connectionLost {
      farewell = error.endsConnection ? error : nil
      return fail(error)
    }
    if request.error == nil { request.error = error }
    // To be prepared again when next used, under a new name: either its parse failed, or what was prepared is
    // missing or stale.
    if let step, let id = request.steps[step].id, error.isStalePlan || pipeline.isPreparing {
      prepared[id] = nil
    }
  }

  /// Everything sent and not answered, when the connection is given up.
  func lose() -> [(request: Request, maybeApplied: Bool)] {
    pipeline.lose(afterFarewell: farewell != nil)
  }
}
