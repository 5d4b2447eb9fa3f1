internal import DequeModule
internal import Logging
internal import NIOCore

/// A place for a shared connection: there, being opened, or to be opened later.
struct SharedSlot {
  var connection: Connection?
  /// When to try again.
  var retry: NIODeadline?
  var backoff = Backoff()
}

/// Requests on the shared connections.
extension IOLoop {
  func accept(_ request: Request) {
    guard drained == nil else { return fail(request, shuttingDown) }
    guard waiting.count < configuration.queueLimit else {
      let error = PostgresError(
        .queueFull, "\(waiting.count) requests wait already", statement: request.name)
      logRefusal(error)
      return fail(request, error)
    }
    request.received = now
    waiting.append(request)
  }

  /// Sends what waits, each request on the connection that has the least to do.
  func dispatch() {
    guard !waiting.isEmpty else { return }
    while let connection = leastBusy(), let request = waiting.popFirst() {
      // Its caller was cancelled while it waited.
      if request.isFinished { continue }
      if !connection.send(request, now: now) { waiting.prepend(request) }
      takeAnswers(of: connection)
    }
    for connection in shared.compactMap(\.connection) { push(connection) }
  }

  /// A connection whose socket is full takes no more: what it has not been given can still go elsewhere.
  private func leastBusy() -> Connection? {
    var best: Connection?
    for slot in shared {
      guard let connection = slot.connection, connection.failure == nil, !connection.isRetired,
        !connection.wantsWrite,
        connection.pipeline.count < configuration.pipelineDepth
      else { continue }
      if let count = best?.pipeline.count, count <= connection.pipeline.count { continue }
      best = connection
    }
    return best
  }

  /// Every answer to the request is in.
  func complete(_ request: Request, on connection: Connection) {
    if let error = request.error {
      if error.isStalePlan, !request.isLeased, !request.avoidsPrepared {
        // Nothing of it was done, so it is sent again, parsed afresh.
        request.avoidsPrepared = true
        request.reset()
        waiting.prepend(request)
        return
      }
      if error.sqlState == .readOnlyTransaction, requiresWrites, !request.isLeased, request.attempts < 3 {
        // Nothing of it was done here either, and where the next connection goes writes are taken.
        retireAll(because: connection)
        request.reset()
        waiting.prepend(request)
        return
      }
      return fail(request, error)
    }
    record(request)
    let results = request.results
    request.results = []
    if request.finish(.success(results)) { finishedRequests.append(request) }
  }

  func fail(_ request: Request, _ error: PostgresError) {
    record(request, error)
    request.results = []
    if request.finish(.failure(error)) { finishedRequests.append(request) }
  }

  private func record(_ request: Request, _ error: PostgresError? = nil) {
    guard request.received != .distantFuture else { return }
    let duration = now - request.received
    metrics.record(request.name, duration, failed: error != nil)
    if let error, error.kind == .server { logFailure(error) }
    guard duration >= configuration.slowStatement, let suppressed = slowLog.admit(now: now) else { return }
    logger.warning(
      "slow statement",
      metadata: [
        "statement": "\(request.name)", "milliseconds": "\(duration.nanoseconds / 1_000_000)",
        "error": "\(error.map(cause) ?? "none")", "suppressed": "\(suppressed)",
      ])
  }

  /// Why a slow statement failed. In Postgres's words only where they say what it waited for, and nothing of a row.
  private func cause(_ error: PostgresError) -> String {
    guard let state = error.sqlState else { return "\(error.kind)" }
    let isTimeout = state == .queryCanceled || state == .lockNotAvailable
    return isTimeout ? "\(state) \(error.message)" : state.rawValue
  }

  /// For whoever looks closely only: what a statement meets is its caller's business. Without `detail`, which holds
  /// the values of rows.
  private func logFailure(_ error: PostgresError) {
    guard logger.logLevel <= .debug, let suppressed = failureLog.admit(now: now) else { return }
    logger.debug(
      "statement failed",
      metadata: [
        "statement": "\(error.statement ?? "")", "sqlstate": "\(error.sqlState?.rawValue ?? "")",
        "reason": "\(error.message)", "constraint": "\(error.constraint ?? "")",
        "suppressed": "\(suppressed)",
      ])
  }

  func logRefusal(_ error: PostgresError) {
    guard let suppressed = refusalLog.admit(now: now) else { return }
    logger.warning(
      "too many wait for Postgres",
      metadata: ["reason": "\(error.message)", "suppressed": "\(suppressed)"])
  }

  /// The server turned out to take no writes any more, though it must: a standby by now, or about to be replaced by one.
  /// Every connection made before may lead there; so each is closed as soon as it has nothing to do, and the next is
  /// made to whichever server does take them.
  func retireAll(because connection: Connection) {
    guard !connection.isRetired else { return }
    logger.warning("the server takes no writes any more; looking for one that does")
    for connection in shared.compactMap(\.connection) + leased { connection.isRetired = true }
    for connection in pool.removeIdle() { discard(connection) }
  }

  /// Gives up a shared connection: what may not have run goes to the front of the queue again.
  func lose(_ slot: Int) {
    guard let connection = shared[slot].connection, let failure = connection.failure else { return }
    shared[slot].connection = nil
    shared[slot].retry = now + shared[slot].backoff.next(using: &random)
    // What this client closed itself was not lost.
    if !isStopping { logger.warning("lost a connection to Postgres", metadata: ["reason": "\(failure)"]) }
    for (request, maybeApplied) in connection.lose().reversed() {
      // The third time it is likely the statement itself that breaks connections.
      if !maybeApplied || request.isIdempotent, request.attempts < 3, !request.isFinished {
        request.reset()
        waiting.prepend(request)
      } else {
        var error = request.error ?? failure
        error.kind = .connectionLost
        error.maybeApplied = maybeApplied
        error.statement = request.name
        fail(request, error)
      }
    }
  }

  func opened(_ target: Target, _ result: Result<Connection, PostgresError>) {
    switch result {
    case .success(let connection):
      if outage != nil {
        let seconds = (now - outageSince).nanoseconds / 1_000_000_000
        logger.notice("connected to Postgres again", metadata: ["seconds": "\(seconds)"])
      }
      outage = nil
      metrics.connected()
      connection.lastProgress = now
      switch target {
      case .shared(let slot):
        shared[slot].connection = connection
        shared[slot].backoff.reset()
      case .leased:
        leased.append(connection)
        leaseBackoff.reset()
        perform(pool.opened(connection))
      case .listening: openedListening(connection)
      }
    case .failure(let error):
      // Once for each reason: an operator needs to know, not to scroll.
      if outage?.message != error.message {
        logger.error("cannot connect to Postgres", metadata: ["reason": "\(error.message)"])
      }
      if outage == nil { outageSince = now }
      outage = error
      switch target {
      case .shared(let slot): shared[slot].retry = now + shared[slot].backoff.next(using: &random)
      case .leased: if pool.openFailed() { leaseRetries.append(now + leaseBackoff.next(using: &random)) }
      case .listening: openListeningFailed()
      }
    }
  }

  /// Ends the waiting of everyone who has waited long enough.
  func expire() {
    let hasConnection = shared.contains { $0.connection != nil }
    expireWaiting(hasConnection)
    for connection in shared.compactMap(\.connection) where !connection.pipeline.isEmpty {
      // One that is finished, but unanswered, keeps its place in the pipeline; it must not be failed again.
      for request in connection.pipeline.requests where !request.isFinished {
        if let deadline = request.deadline, deadline <= now {
          fail(request, tooLate(request, maybeApplied: true))
        }
      }
      // The server would have stopped the statement by now: it, or the way to it, is gone.
      if connection.lastProgress + configuration.statementTimeout + .seconds(2) <= now {
        connection.fail(PostgresError(.connectionLost, "no answer"))
      }
    }
    expireLeases()
  }

  private func expireWaiting(_ hasConnection: Bool) {
    guard !waiting.isEmpty else { return }
    waiting.removeAll { request in
      if request.isFinished { return true }
      if !hasConnection, request.received + configuration.unavailableAfter <= now {
        fail(request, unavailable(request.name))
      } else if min(request.deadline ?? .distantFuture, request.received + configuration.queueTimeout) <= now
      {
        fail(request, tooLate(request, maybeApplied: false))
      } else {
        return false
      }
      return true
    }
  }

  func unavailable(_ statement: String?) -> PostgresError {
    PostgresError(.unavailable, outage?.message ?? "no connection to Postgres yet", statement: statement)
  }

  func tooLate(_ request: Request, maybeApplied: Bool) -> PostgresError {
    PostgresError(
      .deadlineExceeded, maybeApplied ? "no answer in time" : "not sent in time", maybeApplied: maybeApplied,
      statement: request.name)
  }
}
