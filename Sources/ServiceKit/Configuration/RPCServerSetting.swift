import HTTP2
package import RPC

/// One field of `RPCServer.Configuration` that an operator can set. What the configuration starts with is the setting's
/// default, so a service that is told nothing runs with exactly what the server was made and tested with.
struct RPCServerSetting {
  typealias Configuration = RPCServer.Configuration

  let setting: Setting
  let apply: (Settings, inout Configuration) throws -> Void

  static var all: [RPCServerSetting] {
    [
      // How many.
      count("grpc.max.connections", \.maxConnections, "Connections open at once; more are closed at once."),
      count(
        "grpc.max.streams", \.http2.maxConcurrentStreams, "Calls a connection may have open at once."),
      count(
        "grpc.max.handlers", \.maxRunningHandlersPerServer,
        "Calls being worked on at once; more are UNAVAILABLE, for another instance to take."),
      count(
        "grpc.max.connection.handlers", \.maxRunningHandlers,
        "Calls of one connection being worked on at once; more are RESOURCE_EXHAUSTED."),
      count(
        "grpc.max.connection.watches", \.maxLastingCalls,
        "Calls of one connection that last until somebody ends them, such as health watches."),
      count("grpc.max.watches", \.maxLastingCallsPerServer, "The same for all connections."),
      count(
        "grpc.max.resets", \.http2.resets.burst,
        "Calls a connection may cancel at once, or make us reset; one that goes on ends with ENHANCE_YOUR_CALM."
      ),
      count("grpc.max.resets.per.second", \.http2.resets.perSecond, "The same in a second, over time."),
      // How much.
      bytes(
        "grpc.max.message.bytes", \.maxMessageBytes,
        "Bytes of one request message; a longer one is RESOURCE_EXHAUSTED."),
      bytes(
        "grpc.max.response.bytes", \.maxResponseBytes,
        "Bytes of one response message; RESOURCE_EXHAUSTED takes the place of a longer one."),
      bytes(
        "grpc.max.connection.buffered.bytes", \.maxBufferedBytes,
        "Bytes of requests held for one connection; calls that would hold more are RESOURCE_EXHAUSTED."),
      bytes(
        "grpc.max.buffered.bytes", \.maxBufferedBytesPerServer,
        "Bytes of requests held for all connections; calls that would hold more are UNAVAILABLE."),
      bytes(
        "grpc.max.connection.queued.bytes", \.http2.maxQueuedBytes,
        "Bytes of responses that one connection does not take; a call that would add to more is reset."),
      bytes(
        "grpc.max.queued.bytes", \.maxQueuedBytesPerServer,
        "Bytes of responses that all connections do not take, beyond 64 KiB each; calls that would add to more are reset."
      ),
      bytes(
        "grpc.max.call.queued.bytes", \.maxOutboundBytes,
        "Bytes of responses a call may have queued before its handler waits."),
      // How long.
      limit(
        "grpc.request.timeout", \.requestTimeout,
        "Seconds in which the one message of a request must arrive, from the headers on"),
      limit("grpc.default.deadline", \.defaultDeadline, "Seconds for a call whose caller sets no deadline"),
      limit("grpc.max.deadline", \.maxDeadline, "Seconds for a call whatever its caller says"),
      limit(
        "grpc.max.connection.idle", \.http2.idleTimeout,
        "Seconds without a call after which a connection is closed in order"),
      limit(
        "grpc.max.connection.age", \.http2.maxAge,
        """
        Seconds after which a connection is closed in order, a tenth more or less by chance, so that clients find new \
        instances
        """),
      limit(
        "grpc.keepalive", \.http2.keepaliveInterval, "Seconds of silence after which a peer is sent a PING"),
      limit(
        "grpc.write.stall", \.http2.writeStallTimeout,
        "Seconds a connection may take nothing of what is written to it"),
      limit(
        "grpc.window.stall", \.http2.windowStallTimeout,
        "Seconds a peer may grant no window to the responses it has waiting"),
    ]
  }

  private static func count(
    _ key: String, _ field: WritableKeyPath<Configuration, Int>, _ help: String
  ) -> RPCServerSetting {
    number(key, field, in: 1...1_000_000, help)
  }

  private static func bytes(
    _ key: String, _ field: WritableKeyPath<Configuration, Int>, _ help: String
  ) -> RPCServerSetting {
    number(key, field, in: 1...1 << 40, help)
  }

  private static func number(
    _ key: String, _ field: WritableKeyPath<Configuration, Int>, in range: ClosedRange<Int>, _ help: String
  ) -> RPCServerSetting {
    RPCServerSetting(setting: Setting(key, default: "\(standard[keyPath: field])", help: help)) {
      $1[keyPath: field] = try $0.int(key, in: range)
    }
  }

  /// A time of which 0 means that there is no limit.
  private static func limit(
    _ key: String, _ field: WritableKeyPath<Configuration, Duration?>, _ help: String
  ) -> RPCServerSetting {
    let standard = standard[keyPath: field] ?? .zero
    return RPCServerSetting(
      setting: Setting(key, default: standard.settingText, help: help + "; 0 for no limit.")
    ) {
      let duration = try $0.duration(key)
      $1[keyPath: field] = duration == .zero ? nil : duration
    }
  }

  private static var standard: Configuration { Configuration(address: .unix(path: "")) }
}

extension Settings {
  /// The server that `Setting.rpc` describes, on plaintext or TLS.
  package func rpcServer() throws -> RPCServer.Configuration {
    var configuration = RPCServer.Configuration(address: try address("grpc.listen"))
    configuration.tls = try serverTLS("grpc")
    configuration.shutdownGrace = try duration("shutdown.grace")
    for setting in RPCServerSetting.all { try setting.apply(self, &configuration) }
    return configuration
  }
}

extension Duration {
  /// Seconds as `Settings.duration` reads them.
  var settingText: String {
    components.attoseconds == 0 ? "\(components.seconds)" : "\(seconds)"
  }
}
