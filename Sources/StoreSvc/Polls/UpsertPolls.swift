import Postgres
import RPC

extension StoreService {
  func upsert(_ polls: [NewPoll], tenant: UUID, _ context: CallContext) async throws -> KnownPolls {
    let statement = UpsertPolls(tenant: tenant, polls: polls)
    do {
      return KnownPolls(try await postgres.execute(statement, tenant: tenant, deadline: context.deadline))
    } catch let error as PostgresError where error.isMissingPartition {
      // The first poll of a month.
      try await postgres.executeCount(
        EnsurePollPartitions(instants: polls.map(\.at)), tenant: tenant, deadline: context.deadline)
      return KnownPolls(try await postgres.execute(statement, tenant: tenant, deadline: context.deadline))
    }
  }
}

extension PostgresError {
  /// "no partition of relation … found for row": a check that has no name of its own.
  fileprivate var isMissingPartition: Bool { sqlState == .checkViolation && constraint == nil }
}

/// See the function in the first migration.
struct EnsurePollPartitions: Statement {
  static let name = "EnsurePollPartitions"
  static let sql = "SELECT store.ensure_poll_partitions($1)"
  static let isIdempotent = true
  var instants: [PostgresTimestamp]

  func bind(into bindings: inout Bindings) { bindings.append(instants) }
}

/// Stores polls, the last one of the batch for each (store, instant). Answers a row for each that was written and at
/// least one, perhaps with nulls, for each store there is.
struct UpsertPolls: Statement {
  static let name = "UpsertPolls"
  // Locked and written in the order of the key, so that two batches cannot deadlock. The stores are locked so that
  // none is deleted meanwhile; see the table.
  static let sql = """
    WITH known AS (
      SELECT store_id FROM store.stores WHERE tenant_id = $1 AND store_id = ANY ($2::uuid[])
      ORDER BY store_id FOR KEY SHARE
    ), written AS (
      INSERT INTO store.polls AS p (tenant_id, store_id, at, is_active)
      SELECT $1, new.store_id, new.at, new.is_active
      FROM unnest($2::uuid[], $3::timestamptz[], $4::bool[]) AS new (store_id, at, is_active)
        JOIN known ON known.store_id = new.store_id
      ORDER BY new.store_id, new.at
      ON CONFLICT (tenant_id, store_id, at) DO UPDATE
        SET is_active = excluded.is_active, replaced = least(p.replaced, 32766) + 1
        WHERE p.is_active <> excluded.is_active
      RETURNING p.store_id, p.at, p.replaced = 0 AS is_new
    )
    SELECT known.store_id, written.at, written.is_new FROM known LEFT JOIN written USING (store_id)
    """
  var tenant: UUID
  var polls: [NewPoll]

  init(tenant: UUID, polls: [NewPoll]) {
    self.tenant = tenant
    var last: [NewPoll.Key: NewPoll] = [:]
    for poll in polls { last[poll.key] = poll }
    self.polls = Array(last.values)
  }

  struct Row: Sendable {
    var store: UUID
    var at: PostgresTimestamp?
    var isNew: Bool?
  }

  func bind(into bindings: inout Bindings) {
    bindings.append(tenant)
    bindings.append(polls.map(\.store))
    bindings.append(polls.map(\.at))
    bindings.append(polls.map(\.isActive))
  }

  static func decode(_ row: inout RowReader) throws -> Row {
    Row(store: try row.next(), at: try row.next(), isNew: try row.next())
  }
}
