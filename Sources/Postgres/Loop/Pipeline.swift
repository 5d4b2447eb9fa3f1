internal import DequeModule

/// What has been sent on one connection in pipeline mode, and whose each answer is. No I/O.
///
/// For every request the server answers each of its commands in turn — a Parse for a step that is prepared on the
/// way, then the step itself — and each answer ends with a null. After an error the remaining commands are answered
/// "aborted". Behind the last comes the Sync, where the transaction is committed: before it nothing is certain,
/// and deferred constraints may still fail.
struct Pipeline<Request> {
  enum Event {
    case result
    case error
    case aborted
    /// libpq's null: the command has no more results.
    case end
    case sync
  }

  enum Action {
    case none
    /// The step of that index has been parsed and can be executed by others.
    case prepared(Request, step: Int)
    /// It has not, since something before it failed.
    case notPrepared(Request, step: Int)
    case keep(Request, step: Int)
    case fail(Request, step: Int?)
    /// Everything about the request is known.
    case finish(Request)
    /// The answer does not belong to anything sent. The connection is of no use any more.
    case violation(String)
  }

  private struct Flight {
    let request: Request
    let steps: Int
    /// Bit n: step n is prepared on the way.
    let prepares: UInt64
    var step = 0
    var isPreparing: Bool
  }

  private var flights: Deque<Flight> = []

  var count: Int { flights.count }
  var isEmpty: Bool { flights.isEmpty }
  var requests: some Sequence<Request> { flights.lazy.map(\.request) }
  /// Whether the next answer is that to a Parse.
  var isPreparing: Bool { flights.first?.isPreparing ?? false }

  /// The request and its Sync have been handed to libpq.
  mutating func send(_ request: Request, steps: Int, prepares: UInt64) {
    flights.append(
      Flight(request: request, steps: steps, prepares: prepares, isPreparing: prepares & 1 != 0))
  }

  mutating func receive(_ event: Event) -> Action {
    guard let flight = flights.first else { return .violation("an answer to nothing") }
    let isBeforeSync = flight.step == flight.steps
    switch event {
    case .result where isBeforeSync: return .violation("a result too many")
    case .result:
      return flight.isPreparing
        ? .prepared(flight.request, step: flight.step) : .keep(flight.request, step: flight.step)
    case .error:
      return .fail(flight.request, step: isBeforeSync ? nil : flight.step)
    case .aborted where isBeforeSync: return .none
    case .aborted:
      return flight.isPreparing ? .notPrepared(flight.request, step: flight.step) : .none
    case .end:
      // An error at the Sync itself is followed by a null of its own.
      if !isBeforeSync { advance() }
      return .none
    case .sync where isBeforeSync:
      flights.removeFirst()
      return .finish(flight.request)
    case .sync: return .violation("a Sync too early")
    }
  }

  private mutating func advance() {
    if flights[0].isPreparing {
      flights[0].isPreparing = false
    } else {
      flights[0].step += 1
      flights[0].isPreparing =
        flights[0].step < 64 && flights[0].prepares & (1 << UInt64(flights[0].step)) != 0
    }
  }

  /// The connection is lost: everything unanswered, oldest first, and whether the server may have carried it out.
  ///
  /// A server that says goodbye in answer to a statement (57P01, say) has rolled that one back and not looked at
  /// those behind it. If it just went away, all that was sent may have been carried out.
  mutating func lose(afterFarewell: Bool) -> [(request: Request, maybeApplied: Bool)] {
    defer { flights.removeAll() }
    return flights.enumerated().map { index, flight in
      let isAtSync = flight.step == flight.steps
      return (flight.request, !afterFarewell || (index == 0 && isAtSync))
    }
  }
}
