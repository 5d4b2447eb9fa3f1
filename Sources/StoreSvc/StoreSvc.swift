import Jobs
import Postgres
import ServiceKit
import ServiceLifecycle

/// Store monitoring: are the shops open when they mean to be?
@main
struct StoreSvc: MigratingProgram {
  static let name = "store"
  static let summary = "Stores, opening hours, status polls and uptime reports."
  static let settings = Setting.postgres + Setting.rpc + Setting.identity + [.sealingSecret]
  static let listeners = ["grpc"]

  static func main() async { await run() }

  static let schema = "store"
  static let migrations = [
    Migration(
      version: 1, name: "stores_hours_polls_reports",
      sql: String(decoding: PackageResources._001_stores_hours_polls_reports_sql, as: UTF8.self)),
    Jobs.migration(version: 2, schema: schema, role: "mainstreet_store"),
    Idempotency.migration(version: 3, schema: schema, role: "mainstreet_store"),
  ]
}
