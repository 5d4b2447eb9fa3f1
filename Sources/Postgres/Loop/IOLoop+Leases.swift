internal import CLibpq
internal import NIOCore

/// A caller waiting for a connection of its own.
final class LeaseRequest: Waiter<Lease>, @unchecked Sendable {
  let deadline: NIODeadline?
  init(deadline: NIODeadline?) { self.deadline = deadline }
}

/// Connections that belong to one caller for a while.
extension IOLoop {
  /// Waits for a connection. Its holder must release it.
  func lease(deadline: NIODeadline?) async throws -> Lease {
    let request = LeaseRequest(deadline: deadline)
    return try await request.wait(submit: { submit(.lease(request)) })
  }

  func accept(_ request: LeaseRequest) {
    guard drained == nil else { return refuse(request, shuttingDown) }
    let expiry = min(request.deadline ?? .distantFuture, now + configuration.queueTimeout)
    perform(pool.acquire(request, since: now, expiry: expiry))
  }

  func perform(_ action: LeasePool<LeaseRequest, Connection>.Action) {
    switch action {
    case .none: break
    case .open: open(.leased)
    case .refuse(let request):
      let error = PostgresError(.queueFull, "\(pool.waiting) callers wait for a connection already")
      logRefusal(error)
      refuse(request, error)
    case .grant(let request, let connection):
      if request.finish(.success(Lease(self, connection))) {
        finished.append(request)
      } else {
        // Its caller was cancelled while it waited.
        perform(pool.release(connection))
      }
    }
  }

  private func refuse(_ request: LeaseRequest, _ error: PostgresError) {
    if request.finish(.failure(error)) { finished.append(request) }
  }

  func send(_ request: Request, on connection: Connection) {
    request.received = now
    guard connection.failure == nil, connection.query.phase == .idle else {
      return fail(
        request,
        connection.failure ?? PostgresError(.misuse, "a statement during a copy", statement: request.name))
    }
    if !connection.send(request, now: now) {
      fail(request, PostgresError(.connectionLost, "the connection is closed", statement: request.name))
    }
    push(connection)
  }

  func release(_ connection: Connection) {
    if connection.failure != nil {
      // Closed in the meantime, or about to be.
      lose(connection)
      perform(pool.discarded())
    } else if connection.isIdle, !connection.isRetired {
      perform(pool.release(connection))
    } else {
      discard(connection)
      perform(pool.discarded())
    }
  }

  /// Closes a connection whose holder wants no more of it, and has the server stop working for it.
  func discard(_ connection: Connection) {
    guard connection.failure == nil else { return }
    if !connection.isIdle, let cancellation = PQgetCancel(connection.handle) {
      let cancellation = Cancellation(cancellation)
      // PQcancel connects and waits, so not here. It may fail, or come before the statement has begun: then the
      // server notices within a second that the connection is closed.
      _ = DetachedThread.run(named: "postgres-cancel") { cancellation.send() }
    }
    connection.fail(PostgresError(.connectionLost, "the connection was given up"))
    lose(connection)
  }

  /// Gives up a leased connection: whoever waits for an answer on it will not get one.
  func lose(_ connection: Connection) {
    guard let index = leased.firstIndex(where: { $0 === connection }), let failure = connection.failure
    else { return }
    leased.remove(at: index)
    pool.lost(connection)
    for (request, maybeApplied) in connection.lose() {
      var error = request.error ?? connection.farewell ?? failure
      error.kind = .connectionLost
      // Without its COMMIT a transaction is undone.
      error.maybeApplied = request.isCommit && maybeApplied
      error.statement = request.name
      fail(request, error)
    }
    connection.settle(&finished)
  }

  func expireLeases() {
    let unavailableBefore = now - configuration.unavailableAfter
    for (request, isUnavailable) in pool.expire(now: now, unavailableBefore: unavailableBefore) {
      guard !isUnavailable else {
        refuse(request, unavailable(nil))
        continue
      }
      let error = PostgresError(.deadlineExceeded, "no connection came free in time")
      logRefusal(error)
      refuse(request, error)
    }
    for connection in leased {
      let overdue = connection.pipeline.requests.filter { ($0.deadline ?? .distantFuture) <= now }
      for request in overdue { fail(request, tooLate(request, maybeApplied: request.isCommit)) }
      if let operation = connection.operation, operation.deadline <= now {
        let error = PostgresError(.deadlineExceeded, "no answer in time")
        connection.resolve(operation, .failure(error), &finished)
        discard(connection)
      } else if !overdue.isEmpty {
        discard(connection)
      }
    }
  }
}

/// What libpq needs to ask the server to stop, apart from the connection itself.
private final class Cancellation: @unchecked Sendable {
  private let handle: OpaquePointer

  init(_ handle: OpaquePointer) { self.handle = handle }

  deinit { PQfreeCancel(handle) }

  func send() {
    var message = [CChar](repeating: 0, count: 256)
    _ = PQcancel(handle, &message, Int32(message.count))
  }
}
