import Postgres
import RPC
import Synchronization

/// Bounds the imports that run at once: each holds a database connection for as long as its upload takes. No tenant
/// may have them all.
final class ImportSlots: Sendable {
  private let tenants = Mutex<[UUID]>([])
  private let limit: Int
  private let limitPerTenant: Int

  init(limit: Int = 4, limitPerTenant: Int = 2) {
    self.limit = limit
    self.limitPerTenant = limitPerTenant
  }

  func withSlot<Result>(for tenant: UUID, _ body: () async throws -> Result) async throws -> Result {
    let isFree = tenants.withLock { tenants in
      guard tenants.count < limit, tenants.count(where: { $0 == tenant }) < limitPerTenant else {
        return false
      }
      tenants.append(tenant)
      return true
    }
    guard isFree else { throw ImportError.tooManyImports.rpcError }
    defer {
      tenants.withLock { tenants in
        if let index = tenants.firstIndex(of: tenant) { tenants.remove(at: index) }
      }
    }
    return try await body()
  }
}
