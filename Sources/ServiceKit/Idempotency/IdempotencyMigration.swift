package import Postgres

extension Idempotency {
  /// What makes the table of answers, as a step in the life of a service's schema.
  /// - Parameters:
  ///   - schema: the service's; a plain identifier.
  ///   - role: the one the service logs in as, which exists already.
  package static func migration(version: Int32, schema: String, role: String) -> Migration {
    let template = String(decoding: PackageResources._001_idempotency_sql, as: UTF8.self)
    let sql = template.replacing("{schema}", with: schema).replacing("{role}", with: role)
    return Migration(version: version, name: "idempotency", sql: sql)
  }
}
