import ArgumentParser
import Logging
import Postgres
import ServiceKit

/// The database of a service, with the settings every service has.
struct Database: ParsableArguments {
  static let schema = "faults"

  @Option(help: "A libpq URL.")
  var url: String

  var logger: Logger {
    Logger(label: "faults") { JSONLogHandler(service: "faults", label: $0, level: .info) }
  }

  func client() throws -> PostgresClient {
    var configuration = PostgresClient.Configuration(url: url, applicationName: "mainstreet-faults")
    configuration.schema = Self.schema
    return try PostgresClient(configuration: configuration, logger: logger)
  }
}
