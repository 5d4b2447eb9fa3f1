import Postgres
import TimeZones

/// A store as a report sees it.
struct ReportStore: Sendable {
  var id: UUID
  /// What the report calls it: the external id where there is one.
  var label: String
  var zone: String
  var schedule: WeeklySchedule
  /// The state of the last poll before the week, which carries in.
  var carriedIn: Bool?
}

/// Makes a report from stores and polls that come in the same order, both by store id, in one pass. Holds a row of
/// results for each store and never a poll.
struct ReportBuilder {
  /// Recorded in each report; changes when the same input would give other figures.
  static let engineVersion = "1"

  private let stores: [ReportStore]
  private let windows: ReportWindows
  private var openHours: OpenHours
  private var uptimes: [Uptime] = []
  private var tally: StepTally?

  /// - Parameter stores: ascending by id.
  init(
    stores: [ReportStore], windows: ReportWindows, rules: @escaping (String) throws -> TimeZoneRules
  ) throws {
    self.stores = stores
    self.windows = windows
    openHours = OpenHours(windows: windows, rules: rules)
    uptimes.reserveCapacity(stores.count)
    try begin()
  }

  /// Stores done, of all.
  var progress: Double { stores.isEmpty ? 1 : Double(uptimes.count) / Double(stores.count) }

  /// The next poll, ascending by store and then time, all within the week. One of a store that is not in the
  /// report is skipped.
  mutating func poll(store: UUID, at instant: Instant, isActive: Bool) throws {
    while uptimes.count < stores.count, stores[uptimes.count].id < store { try end() }
    guard uptimes.count < stores.count, stores[uptimes.count].id == store else { return }
    tally?.poll(at: instant, isActive: isActive)
  }

  consuming func finish() throws -> (csv: [UInt8], rowCount: Int) {
    while uptimes.count < stores.count { try end() }
    var csv = ReportCSV(rowCount: stores.count)
    let order = stores.indices.sorted { Self.precedes(stores[$0].label, stores[$1].label) }
    for index in order { csv.append(storeID: stores[index].label, uptimes[index]) }
    return (csv.bytes, stores.count)
  }

  private mutating func begin() throws {
    guard uptimes.count < stores.count else {
      tally = nil
      return
    }
    let store = stores[uptimes.count]
    let open = try openHours.ranges(zone: store.zone, schedule: store.schedule)
    var tally = StepTally(open: open, windows: windows)
    if let carriedIn = store.carriedIn { tally.poll(at: windows.weekStart, isActive: carriedIn) }
    self.tally = tally
  }

  private mutating func end() throws {
    uptimes.append(tally?.finish() ?? Uptime())
    try begin()
  }

  /// Bytewise, not by what a language thinks of letters.
  private static func precedes(_ left: String, _ right: String) -> Bool {
    left.utf8.lexicographicallyPrecedes(right.utf8)
  }
}
