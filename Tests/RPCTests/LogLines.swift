import Logging
import Synchronization

/// What a server or a client logs.
final class LogLines: Sendable {
  private struct State {
    var lines: [String] = []
    var waiting: [(String, CheckedContinuation<Void, Never>)] = []
  }

  private let state = Mutex(State())

  var all: [String] { state.withLock { $0.lines } }
  var logger: Logger { Logger(label: "test") { _ in Handler(lines: self) } }

  func wait(for line: String) async {
    await withCheckedContinuation { continuation in
      let isThere = state.withLock { state in
        if state.lines.contains(line) { return true }
        state.waiting.append((line, continuation))
        return false
      }
      if isThere { continuation.resume() }
    }
  }

  private func add(_ line: String) {
    let resumed = state.withLock { state in
      state.lines.append(line)
      let resumed = state.waiting.filter { $0.0 == line }
      state.waiting.removeAll { $0.0 == line }
      return resumed
    }
    for (_, continuation) in resumed { continuation.resume() }
  }

  private struct Handler: LogHandler {
    let lines: LogLines
    var metadata = Logger.Metadata()
    var logLevel = Logger.Level.info

    init(lines: LogLines) { self.lines = lines }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { lines.add("\(event.message)") }
  }
}
