internal import NIOConcurrencyHelpers

/// The meeting point of the connections' thread, which hears, and the task that reads.
final class NotificationQueue: Resumable, Sendable {
  typealias Event = PostgresNotifications.Event

  let channels: Set<String>
  private let state: NIOLockedValueBox<State>

  private struct State {
    var buffer: NotificationBuffer
    var reader: UnsafeContinuation<Event?, Never>?
    var isOver = false
  }

  init(channels: Set<String>, limit: Int) {
    self.channels = channels
    state = NIOLockedValueBox(State(buffer: NotificationBuffer(limit: limit)))
  }

  var isOver: Bool { state.withLockedValue { $0.isOver } }

  /// The next event; nil when there will be none any more, as after the task was cancelled.
  func next() async -> Event? {
    await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        let answer = state.withLockedValue { state -> Event?? in
          if let event = state.buffer.popFirst() { return event }
          if state.isOver { return .some(nil) }
          precondition(state.reader == nil, "one task at a time reads notifications")
          state.reader = continuation
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      end()
    }
  }

  /// Returns whether somebody waits for it, who is to be resumed.
  func offer(_ event: Event) -> Bool {
    state.withLockedValue { state in
      guard !state.isOver else { return false }
      state.buffer.append(event)
      return state.reader != nil
    }
  }

  /// Hands the first event to whoever waits for one.
  func resume() {
    let delivery = state.withLockedValue { state -> (UnsafeContinuation<Event?, Never>, Event)? in
      guard let reader = state.reader, let event = state.buffer.popFirst() else { return nil }
      state.reader = nil
      return (reader, event)
    }
    if let (reader, event) = delivery { reader.resume(returning: event) }
  }

  func end() {
    let reader = state.withLockedValue { state in
      state.isOver = true
      state.buffer.removeAll()
      defer { state.reader = nil }
      return state.reader
    }
    reader?.resume(returning: nil)
  }
}
