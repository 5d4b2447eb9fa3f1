import Glibc
import Logging
import Metrics
import NIOCore
import NIOPosix
import RPC
import ServiceLifecycle
import UnixSignals

/// One run of a program: configure, observe, build, serve, end.
struct Runner<Program: ServiceProgram>: Sendable {
  let arguments: [String]
  let file: String?

  /// The program's settings and those every program has.
  static var settings: [Setting] {
    Program.settings + [
      Setting(
        "admin.listen", default: "127.0.0.1:0",
        help: "Where /livez, /readyz, /metrics and /connections are served."),
      Setting("log.level", default: "info", help: "trace, debug, info, notice, warning, error or critical."),
      Setting("threads", optional: true, help: "Event loops; one per core if not set."),
      Setting(
        "shutdown.grace", default: "20",
        help: "Seconds that running calls get to finish after SIGTERM before they are cut."),
      Setting(
        "ready.file", optional: true,
        help: "A file to write, once serving, with the addresses really bound, as JSON."),
    ] + Setting.tracing
  }

  func serve() async -> Never {
    await orderly { settings, logger in
      let metrics = MetricsRegistry()
      MetricsSystem.bootstrap(metrics)
      FileDescriptors.raiseLimit()
      logger.notice("starting", metadata: Self.metadata(of: settings))
      let readyFile = settings.optional("ready.file").map { ReadyFile(path: $0, logger: logger) }
      readyFile?.remove()
      let context = try context(settings, logger, readyFile)
      let admin = AdminServer(
        listen: try settings.address("admin.listen"), readiness: context.readiness, metrics: metrics,
        rpc: context.rpc, group: context.eventLoopGroup, logger: logger)
      var group = ServiceGroupConfiguration(
        // What is traced until the end is sent after it.
        services: [admin] + (context.tracing?.services ?? []) + (try await Program.build(context)) + [
          DrainNotice(readiness: context.readiness)
        ],
        gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
      // Servers cut what outlasts the grace themselves; the group only ends what got stuck in doing so.
      group.maximumGracefulShutdownDuration = try settings.duration("shutdown.grace") + .seconds(5)
      try await ServiceGroup(configuration: group).run()
      readyFile?.remove()
      logger.notice("stopped")
    }
  }

  func migrate(dryRun: Bool) async -> Never {
    await orderly { settings, logger in
      guard let program = Program.self as? any MigratingProgram.Type else { return }
      let context = try context(settings, logger, nil)
      for migration in try await program.migrate(context, dryRun: dryRun) { puts("\(migration)") }
    }
  }

  func perform(_ body: (ServiceContext) async throws -> [String]) async -> Never {
    await orderly { settings, logger in
      for line in try await body(try context(settings, logger, nil)) { puts(line) }
    }
  }

  private func context(_ settings: Settings, _ logger: Logger, _ readyFile: ReadyFile?) throws
    -> ServiceContext
  {
    let threads =
      try settings.optional("threads") == nil ? System.coreCount : settings.int("threads", in: 1...256)
    let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
    return ServiceContext(
      settings: settings, logger: logger, eventLoopGroup: group,
      readiness: Readiness(promised: Program.listeners + ["admin"], readyFile: readyFile),
      tracing: try Tracing(settings, program: Program.name, group: group, logger: logger))
  }

  /// Runs the body and ends the process: whatever goes wrong becomes one line that says what.
  private func orderly(_ body: (Settings, Logger) async throws -> Void) async -> Never {
    // A peer that went away is an error value, not a signal.
    signal(SIGPIPE, SIG_IGN)
    var logger = Logger(label: Program.name) {
      JSONLogHandler(service: Program.name, label: $0, level: .info)
    }
    do {
      let settings = try await Settings(
        service: Program.name, declared: Self.settings, arguments: arguments, environment: Self.environment(),
        file: file)
      let level = try Self.level(settings)
      LoggingSystem.bootstrap { JSONLogHandler(service: Program.name, label: $0, level: level) }
      logger = Logger(label: Program.name)
      try await body(settings, logger)
      exit(0)
    } catch {
      logger.critical("cannot go on: \(error)")
      exit(1)
    }
  }

  private static func level(_ settings: Settings) throws -> Logger.Level {
    let text = try settings.string("log.level")
    guard let level = Logger.Level(rawValue: text) else {
      throw StartupFailure("\(settings.name("log.level")) is no log level: \"\(text)\"")
    }
    return level
  }

  private static func metadata(of settings: Settings) -> Logger.Metadata {
    var metadata: Logger.Metadata = ["pid": "\(getpid())"]
    for (key, value) in settings.redacted { metadata[key] = "\(value)" }
    return metadata
  }

  private static func environment() -> [String: String] {
    var found: [String: String] = [:]
    var entry = environ
    while let pointer = entry.pointee {
      let pair = String(cString: pointer).split(
        separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if pair.count == 2 { found[String(pair[0])] = String(pair[1]) }
      entry += 1
    }
    return found
  }
}

/// Last in the group, so first to hear of a shutdown: tells probes and balancers before the work stops.
private struct DrainNotice: Service {
  let readiness: Readiness

  func run() async throws {
    try? await gracefulShutdown()
    readiness.drain()
  }
}
