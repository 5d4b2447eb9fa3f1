import Jobs
import MainstreetAPI
import Schema
import ServiceKit
import ServiceLifecycle
import TimeZones

extension StoreSvc {
  static func build(_ context: ServiceContext) async throws -> [any Service] {
    let zones: TimeZones
    do {
      zones = try TimeZones()
    } catch {
      throw StartupFailure("the time zone database is not installed; install the package tzdata")
    }
    let identity = try context.identity()
    let database = try await context.database(of: StoreSvc.self)
    let jobs = Jobs(postgres: database.client, logger: context.logger)
    let secret = try context.sealingSecret()
    let idempotency = Idempotency(
      postgres: database.client, contract: try DescriptorSet(serialized: descriptorSet), secret: secret,
      logger: context.logger)
    let service = StoreService(
      postgres: database.client, idempotency: idempotency, cursors: CursorSigner(secret, list: "stores"),
      jobs: jobs, zones: zones)
    return identity.services + [
      database, jobs, idempotency, GenerateReport.worker(jobs, zones: zones, logger: context.logger),
      try context.rpcServer(
        [
          service.serviceDefinition,
          JobsAdmin(
            jobs: jobs, queues: [GenerateReport.queue], cursors: CursorSigner(secret, list: "dead jobs")
          ).serviceDefinition,
        ],
        verifier: identity.verifier, interceptors: [.databaseErrors]),
    ]
  }
}
