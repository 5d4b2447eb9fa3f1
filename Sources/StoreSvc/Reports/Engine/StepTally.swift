/// What is known about one store over the three windows. `up + down + unknown` is the time it was open.
struct Uptime: Hashable, Sendable {
  var up = WindowTotals()
  var down = WindowTotals()
  var unknown = WindowTotals()
}

/// Policy `step`: a poll holds until the next one. The last poll before the window carries in; before the first
/// poll ever, the store is taken to have been in that poll's state; a store never polled is unknown.
///
/// Fed the polls of one store in time order, it walks them and the open hours forward together, once.
struct StepTally {
  private let windows: ReportWindows
  private let open: [TimeRange]
  /// The first open range that is not wholly accounted for.
  private var cursor = 0
  private var isActive: Bool?
  private var accountedTo: Instant
  private var uptime = Uptime()

  /// `open`: from `OpenHours`.
  init(open: [TimeRange], windows: ReportWindows) {
    self.open = open
    self.windows = windows
    accountedTo = windows.weekStart
  }

  /// The next poll; several at one instant leave the last one standing. Polls after `asOf` say nothing yet.
  mutating func poll(at instant: Instant, isActive next: Bool) {
    guard instant <= windows.asOf else { return }
    guard let current = isActive else {
      isActive = next
      return
    }
    if current != next {
      account(upTo: instant)
      isActive = next
    }
  }

  consuming func finish() -> Uptime {
    account(upTo: windows.asOf)
    return uptime
  }

  private mutating func account(upTo end: Instant) {
    while cursor < open.count {
      let range = open[cursor]
      let part = TimeRange(start: max(range.start, accountedTo), end: min(range.end, end))
      if part.start < part.end {
        switch isActive {
        case true?: uptime.up.add(part, in: windows)
        case false?: uptime.down.add(part, in: windows)
        case nil: uptime.unknown.add(part, in: windows)
        }
      }
      // A range that goes on past `end` belongs partly to the next state.
      if range.end > end { break }
      cursor += 1
    }
    accountedTo = max(accountedTo, end)
  }
}
