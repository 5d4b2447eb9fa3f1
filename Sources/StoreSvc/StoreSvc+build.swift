import MainstreetAPI
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
    let database = try await context.database(of: StoreSvc.self)
    let signal = WorkSignal()
    let service = StoreService(postgres: database.client, zones: zones, reportSignal: signal)
    let worker = ReportWorker(
      postgres: database.client, zones: zones, signal: signal, logger: context.logger)
    return [
      database, worker,
      try context.rpcServer([service.serviceDefinition], interceptors: [.databaseErrors]),
    ]
  }
}
