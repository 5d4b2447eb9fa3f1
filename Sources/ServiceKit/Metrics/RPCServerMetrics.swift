import HTTP2
import RPC

extension ServerStatistics {
  /// In the Prometheus text format.
  func exposition() -> String {
    var text = ""
    writeCalls(&text)
    writeConnections(&text)
    return text
  }

  private func writeCalls(_ text: inout String) {
    text += "# TYPE rpc_server_requests_total counter\n"
    for method in methods {
      // A code appears with its first call, except success, which is there to be divided by.
      for code in StatusCode.allCases where code == .ok || method.ended[code.rawValue] > 0 {
        text +=
          "rpc_server_requests_total{method=\"\(method.method)\",code=\"\(code.name)\"} \(method.ended[code.rawValue])\n"
      }
    }
    text += "# TYPE rpc_server_duration_seconds histogram\n"
    for method in methods { writeDurations(of: method, &text) }
    write("rpc_server_in_flight", "gauge", \.inFlight, &text)
    write("rpc_server_request_messages_total", "counter", \.requestMessages, &text)
    write("rpc_server_request_bytes_total", "counter", \.requestBytes, &text)
    write("rpc_server_response_messages_total", "counter", \.responseMessages, &text)
    write("rpc_server_response_bytes_total", "counter", \.responseBytes, &text)
  }

  private func writeDurations(of method: MethodStatistics, _ text: inout String) {
    let name = "rpc_server_duration_seconds"
    let label = "method=\"\(method.method)\""
    var total = 0
    for (bound, count) in zip(MethodStatistics.durationBounds, method.durations) {
      total += count
      text += "\(name)_bucket{\(label),le=\"\(bound.seconds)\"} \(total)\n"
    }
    total += method.durations.last ?? 0
    text += "\(name)_bucket{\(label),le=\"+Inf\"} \(total)\n"
    text += "\(name)_sum{\(label)} \(method.totalDuration.seconds)\n\(name)_count{\(label)} \(total)\n"
  }

  private func write(
    _ name: String, _ kind: String, _ value: KeyPath<MethodStatistics, Int>, _ text: inout String
  ) {
    text += "# TYPE \(name) \(kind)\n"
    for method in methods { text += "\(name){method=\"\(method.method)\"} \(method[keyPath: value])\n" }
  }

  private func writeConnections(_ text: inout String) {
    func write(_ name: String, _ kind: String, _ value: Int) {
      text += "# TYPE rpc_server_connections_\(name) \(kind)\nrpc_server_connections_\(name) \(value)\n"
    }
    write("open", "gauge", connections.open)
    write("accepted_total", "counter", connections.accepted)
    write("refused_total", "counter", connections.refused)
    text += "# TYPE rpc_server_connections_closed_total counter\n"
    for (reason, count) in connections.closed.sorted(by: { $0.key < $1.key }) {
      text += "rpc_server_connections_closed_total{reason=\"\(MetricsRegistry.escaped(reason))\"} \(count)\n"
    }
    let counters = connections.counters
    write("streams_total", "counter", counters.streamsOpened)
    write("received_bytes_total", "counter", counters.bytesReceived)
    write("sent_bytes_total", "counter", counters.bytesSent)
    write("resets_received_total", "counter", counters.resetsReceived)
    write("resets_sent_total", "counter", counters.resetsSent)
    write("pings_received_total", "counter", counters.pingsReceived)
    write("pings_sent_total", "counter", counters.pingsSent)
    write("idle_frames_total", "counter", counters.idleFrames)
  }
}

extension Duration {
  var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) / 1e18
  }
}
