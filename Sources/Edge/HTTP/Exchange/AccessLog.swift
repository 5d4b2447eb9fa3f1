import Logging
import NIOCore
import NIOHTTP1
import ServiceKit

/// One line per request. The route stands there as its template, so that lines can be grouped by it.
struct AccessLog: Sendable {
  let logger: Logger

  /// Of what a client says it is.
  private static let agentCharacters = 200

  func record(_ exchange: HTTPExchange, end: NIODeadline) {
    guard logger.logLevel <= .info else { return }
    var metadata: Logger.Metadata = [
      "method": .string(exchange.head.method.rawValue),
      "protocol": .string("HTTP/\(exchange.head.version.major).\(exchange.head.version.minor)"),
      "status": .stringConvertible(exchange.status),
      "bytes_in": .stringConvertible(exchange.bytesIn),
      "bytes_out": .stringConvertible(exchange.bytesOut),
      "duration_us": .stringConvertible((end - exchange.start).nanoseconds / 1_000),
      "request_id": .string(exchange.reception.requestID),
    ]
    if let route = exchange.reception.route { metadata["route"] = .string(route) }
    if let tenant = exchange.reception.tenant { metadata["tenant"] = .string(tenant) }
    if let trace = exchange.reception.trace { metadata["trace_id"] = .string(trace.context.traceID.text) }
    if let agent = exchange.head.headers.first(name: "user-agent") {
      metadata["user_agent"] = .string(String(agent.prefix(Self.agentCharacters)))
    }
    logger.info("request", metadata: metadata)
  }
}
