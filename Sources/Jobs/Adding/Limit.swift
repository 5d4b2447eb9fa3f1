internal import Postgres

/// How much of something may go on at once, or per second.
package struct Limit: Sendable, Hashable {
  /// Jobs running at once, at most.
  package var running: Int?
  package var rate: Rate?

  package struct Rate: Sendable, Hashable {
    package var perSecond: Double
    /// As many may start at once after a pause.
    package var burst: Double

    package init(perSecond: Double, burst: Double = 1) {
      self.perSecond = perSecond
      self.burst = burst
    }
  }

  package init(running: Int? = nil, rate: Rate? = nil) {
    self.running = running
    self.rate = rate
  }
}

/// A limit that jobs with the same key share, whatever their kind and queue: a provider's, or a tenant's.
package struct KeyedLimit: Sendable, Hashable {
  /// 1 to 200 characters, the same for all tenants unless it names one.
  package var key: String
  package var limit: Limit

  package init(_ key: String, _ limit: Limit) {
    self.key = key
    self.limit = limit
  }
}

struct DeclareLimit: Statement {
  static let name = "DeclareLimit"
  static let sql = "SELECT jobs_limit($1, $2, $3, $4)"
  static let isIdempotent = true
  var keyed: KeyedLimit

  func bind(into bindings: inout Bindings) {
    bindings.append(keyed.key)
    bindings.append(keyed.limit)
  }
}

struct DeclareQueueLimit: Statement {
  static let name = "DeclareQueueLimit"
  static let sql = "SELECT jobs_limit_queue($1, $2, $3, $4)"
  static let isIdempotent = true
  var queue: String
  var limit: Limit

  func bind(into bindings: inout Bindings) {
    bindings.append(queue)
    bindings.append(limit)
  }
}

extension Bindings {
  /// Running at once, per second, burst.
  fileprivate mutating func append(_ limit: Limit) {
    append(limit.running.map { Int32(clamping: $0) })
    append(limit.rate?.perSecond)
    append(limit.rate?.burst)
  }
}
