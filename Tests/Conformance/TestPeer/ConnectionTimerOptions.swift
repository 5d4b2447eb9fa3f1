import ArgumentParser
import HTTP2

/// The timers of connections, in seconds, for tests that cannot wait as long as a service should.
struct ConnectionTimerOptions: ParsableArguments {
  @Option(help: "Seconds for a peer to send its first SETTINGS.")
  var introductionTimeout: Double?

  @Option(help: "Seconds for a header list, from its first byte to its last.")
  var headerBlockTimeout: Double?

  @Option(help: "Seconds for which a peer may read nothing.")
  var writeStallTimeout: Double?

  @Option(help: "Seconds for which a peer may grant no window.")
  var windowStallTimeout: Double?

  @Option(help: "Seconds of silence after which a peer is sent a PING.")
  var keepaliveInterval: Double?

  @Option(help: "Seconds in which it must answer.")
  var keepaliveTimeout: Double?

  @Option(help: "Seconds after which a connection without streams is drained.")
  var idleTimeout: Double?

  @Option(help: "Seconds after which a connection is drained whatever it does.")
  var maxAge: Double?

  @Option(help: "Seconds that a drain waits for the answer to its first step.")
  var drainNoticeTimeout: Double?

  func apply(to http2: inout HTTP2Configuration) {
    func set(_ field: WritableKeyPath<HTTP2Configuration, Duration?>, _ seconds: Double?) {
      if let seconds { http2[keyPath: field] = .seconds(seconds) }
    }
    set(\.introductionTimeout, introductionTimeout)
    set(\.headerBlockTimeout, headerBlockTimeout)
    set(\.writeStallTimeout, writeStallTimeout)
    set(\.windowStallTimeout, windowStallTimeout)
    set(\.keepaliveInterval, keepaliveInterval)
    set(\.idleTimeout, idleTimeout)
    set(\.maxAge, maxAge)
    if let drainNoticeTimeout { http2.drainNoticeTimeout = .seconds(drainNoticeTimeout) }
    if let keepaliveTimeout { http2.keepaliveTimeout = .seconds(keepaliveTimeout) }
  }
}
