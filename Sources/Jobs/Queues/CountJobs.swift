internal import Postgres

/// How many jobs of a queue are at one station.
package struct QueueCount: Hashable, Sendable {
  package var station: JobStation
  package var queue: String
  package var jobs: Int64
  /// How long the oldest has been there; of scheduled ones, how late the first is.
  package var oldest: Duration
}

extension Jobs {
  /// Counts of all queues; of large tables, estimates.
  package func counts() async throws -> [QueueCount] {
    try await postgres.execute(CountJobs(mostPages: Self.mostPagesCounted), tenant: nil).compactMap { $0 }
  }

  static var mostPagesCounted: Int32 { 1000 }
}

/// See jobs_count.
struct CountJobs: Statement {
  static let name = "CountJobs"
  static let sql = "SELECT station, queue, jobs, oldest FROM jobs_count($1)"
  static let isIdempotent = true
  /// Of 8 KiB each, in each table.
  var mostPages: Int32

  func bind(into bindings: inout Bindings) { bindings.append(mostPages) }

  static func decode(_ row: inout RowReader) throws -> QueueCount? {
    let station = JobStation(rawValue: try row.next())
    let queue = try row.next(String.self)
    let jobs = try row.next(Int64.self)
    let oldest = Duration.seconds(try row.next(Double.self))
    return station.map { QueueCount(station: $0, queue: queue, jobs: jobs, oldest: oldest) }
  }
}
