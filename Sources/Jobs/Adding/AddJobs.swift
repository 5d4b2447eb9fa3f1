internal import Postgres

/// Adds jobs without unique keys; see jobs_add.
struct AddJobs: Statement {
  static let name = "AddJobs"
  static let sql = "SELECT jobs_add($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
  var jobs: ArraySlice<NewJob>

  func bind(into bindings: inout Bindings) {
    bindings.append(jobs.map(\.id))
    bindings.append(jobs.map(\.queue))
    bindings.append(jobs.map(\.kind))
    bindings.append(jobs.map(\.tenant))
    bindings.append(jobs.map(\.priority.rawValue))
    bindings.append(jobs.map(\.lane))
    bindings.append(jobs.map { Int16(clamping: $0.maxAttempts) })
    bindings.append(jobs.map { $0.limit?.key })
    bindings.append(jobs.map(\.payload))
    bindings.append(jobs.map(\.runAt))
    bindings.append(jobs.map(\.delay))
  }
}

/// Adds a job unless another has its unique key; see jobs_add_unique.
struct AddUniqueJob: Statement {
  static let name = "AddUniqueJob"
  static let sql = "SELECT jobs_add_unique($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
  var job: NewJob
  var unique: NewJob.Unique

  func bind(into bindings: inout Bindings) {
    bindings.append(job.id)
    bindings.append(job.queue)
    bindings.append(job.kind)
    bindings.append(job.tenant)
    bindings.append(job.priority.rawValue)
    bindings.append(job.lane)
    bindings.append(Int16(clamping: job.maxAttempts))
    bindings.append(job.limit?.key)
    bindings.append(job.payload)
    bindings.append(job.runAt)
    bindings.append(job.delay)
    bindings.append(job.uniqueKey)
    bindings.append(unique.untilStart)
    bindings.append(PostgresInterval(unique.window))
  }

  /// The job that has the key.
  static func decode(_ row: inout RowReader) throws -> UUID { try row.next() }
}
