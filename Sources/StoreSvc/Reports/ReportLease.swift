import Postgres

/// One attempt at one report. A statement that names an attempt which is no longer the current one changes nothing.
struct ReportClaim: Hashable, Sendable {
  var tenant: UUID
  var report: UUID
  var attempt: Int32
}

/// The one statement that runs without a tenant: see `store.claim_report`.
struct ClaimReport: Statement {
  static let name = "ClaimReport"
  static let sql =
    "SELECT tenant_id, report_id, attempt FROM store.claim_report(make_interval(secs => $1), $2)"
  var timing: ReportWorker.Timing

  func bind(into bindings: inout Bindings) {
    bindings.append(timing.lease / .seconds(1))
    bindings.append(timing.mostAttempts)
  }

  static func decode(_ row: inout RowReader) throws -> ReportClaim {
    ReportClaim(tenant: try row.next(), report: try row.next(), attempt: try row.next())
  }
}

struct ExtendLease: Statement {
  static let name = "ExtendLease"
  static let sql = """
    UPDATE store.reports SET leased_until = now() + make_interval(secs => $4), progress = $5
    WHERE tenant_id = $1 AND report_id = $2 AND attempt = $3 AND status = 'running'
    """
  static let isIdempotent = true
  var claim: ReportClaim
  var timing: ReportWorker.Timing
  var progress: Double

  func bind(into bindings: inout Bindings) {
    bindings.append(claim)
    bindings.append(timing.lease / .seconds(1))
    bindings.append(progress)
  }
}

/// Lets the report be claimed again, after a while in which what went wrong may pass.
struct ReleaseReport: Statement {
  static let name = "ReleaseReport"
  static let sql = """
    UPDATE store.reports SET leased_until = now() + make_interval(secs => $4)
    WHERE tenant_id = $1 AND report_id = $2 AND attempt = $3 AND status = 'running'
    """
  static let isIdempotent = true
  var claim: ReportClaim
  var afterSeconds: Double

  func bind(into bindings: inout Bindings) {
    bindings.append(claim)
    bindings.append(afterSeconds)
  }
}

/// Puts the report back for the next worker at once, and the attempt does not count. Its number stays used.
struct RequeueReport: Statement {
  static let name = "RequeueReport"
  static let sql = """
    UPDATE store.reports SET status = 'queued', leased_until = NULL, progress = 0, released = released + 1
    WHERE tenant_id = $1 AND report_id = $2 AND attempt = $3 AND status = 'running'
    """
  var claim: ReportClaim

  func bind(into bindings: inout Bindings) { bindings.append(claim) }
}

struct FailReport: Statement {
  static let name = "FailReport"
  static let sql = """
    UPDATE store.reports
    SET status = 'failed', failure_reason = $4, completed_at = now(), leased_until = NULL
    WHERE tenant_id = $1 AND report_id = $2 AND attempt = $3 AND status = 'running'
    """
  static let isIdempotent = true
  var claim: ReportClaim
  var reason: String

  func bind(into bindings: inout Bindings) {
    bindings.append(claim)
    bindings.append(reason)
  }
}

extension Bindings {
  /// $1 tenant, $2 report, $3 attempt.
  mutating func append(_ claim: ReportClaim) {
    append(claim.tenant)
    append(claim.report)
    append(claim.attempt)
  }
}
