import HTTP2
import RPC

extension [ConnectionSnapshot] {
  /// As `/connections` shows them: the oldest first, a line each.
  var json: String {
    "[" + sorted { $0.age > $1.age }.map(\.json).joined(separator: ",\n") + "]\n"
  }
}

extension ConnectionSnapshot {
  fileprivate var json: String {
    let members: [(String, String)] = [
      ("peer", "\"\(peerName)\""), ("ageSeconds", "\(age.seconds)"),
      ("idleSeconds", idle.map { "\($0.seconds)" } ?? "null"), ("draining", "\(isDraining)"),
      ("callsOpen", "\(openCalls)"), ("callsTotal", "\(counters.streamsOpened)"),
      ("handlersRunning", "\(runningHandlers)"), ("bufferedBytes", "\(bufferedBytes)"),
      ("receivedBytes", "\(counters.bytesReceived)"), ("sentBytes", "\(counters.bytesSent)"),
      ("resetsReceived", "\(counters.resetsReceived)"), ("resetsSent", "\(counters.resetsSent)"),
      ("pingsReceived", "\(counters.pingsReceived)"), ("pingsSent", "\(counters.pingsSent)"),
    ]
    return "{" + members.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
  }

  /// Of a Unix socket only that it is one: the client's end has no name, or one that we would have to quote.
  private var peerName: String {
    guard let peer, case .tcp(let host, let port)? = RPCAddress(peer) else { return "unix" }
    return RPCAddress.tcp(host: host, port: port).description
  }
}
