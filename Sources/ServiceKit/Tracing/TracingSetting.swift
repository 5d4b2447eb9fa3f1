internal import Logging
internal import NIOPosix
internal import RPC
internal import ServiceLifecycle

extension Setting {
  /// What every program can be told about traces.
  static let tracing =
    [
      Setting(
        "otlp.target", optional: true,
        help: "Send spans to this OpenTelemetry collector, by gRPC: host:port. Without it none are made."),
      Setting(
        "otlp.ratio", default: "0.05",
        help: "The part of the traces that begin here to record: 0 to 1."),
      Setting(
        "otlp.parent", default: "true",
        help: "Let whoever sends a traceparent decide whether its trace is recorded: true or false."),
    ] + rpcClient("otlp", RPCClient.Configuration())
}

/// What records spans in a program, and what sends them.
struct Tracing: Sendable {
  let tracer: Tracer
  let services: [any Service]

  /// Nil when there is nowhere to send them.
  init?(
    _ settings: Settings, program: String, group: MultiThreadedEventLoopGroup, logger: Logger
  ) throws {
    guard settings.optional("otlp.target") != nil else { return nil }
    let text = try settings.string("otlp.ratio")
    guard let ratio = Double(text), (0...1).contains(ratio) else {
      throw StartupFailure("\(settings.name("otlp.ratio")) must be a number from 0 to 1, not \"\(text)\"")
    }
    tracer = Tracer(
      sampling: Tracer.Sampling(ratio: ratio, followsParent: try settings.bool("otlp.parent")))
    let client = RPCClient(
      target: try settings.target("otlp.target"),
      configuration: try settings.rpcClient("otlp", RPCClient.Configuration()), eventLoopGroup: group,
      logger: logger)
    services = [client, SpanExporter(tracer, to: client, service: program, logger: logger)]
  }
}
