/// A script or a COPY on a leased connection outside pipeline mode: what has been answered so far. No I/O.
///
/// A script has a result per statement. COPY answers "ready", then takes or gives data, then says how many rows.
/// Either way libpq's null comes last, and only then the connection is free again.
struct SimpleQuery {
  enum Phase: Equatable {
    case idle
    case running
    case copyingIn
    case copyingOut
  }

  enum Event {
    case copyInReady
    case copyOutReady
    case result
    case error
    /// The server or the client has ended the data of a copy.
    case dataEnded
    /// libpq's null.
    case end
  }

  enum Action: Equatable {
    case none
    /// The copy has begun: data may flow.
    case started
    /// Everything is over, with or without an error on the way.
    case finished
    case violation
  }

  private(set) var phase = Phase.idle

  mutating func begin() {
    precondition(phase == .idle, "one query at a time")
    phase = .running
  }

  mutating func receive(_ event: Event) -> Action {
    switch (phase, event) {
    case (.running, .copyInReady):
      phase = .copyingIn
      return .started
    case (.running, .copyOutReady):
      phase = .copyingOut
      return .started
    case (.copyingIn, .dataEnded), (.copyingOut, .dataEnded):
      phase = .running
      return .none
    case (.running, .result), (.running, .error): return .none
    case (.running, .end):
      phase = .idle
      return .finished
    default: return .violation
    }
  }
}
