import NIOCore

/// The limits of one method where they differ from its server's; what is nil is the server's.
package struct MethodLimits: Sendable {
  /// Bytes of one request message, after it has been inflated.
  package var maxRequestBytes: Int?
  /// Bytes of one response message, before it is deflated.
  package var maxResponseBytes: Int?
  /// How long a call may take whose caller sets no deadline.
  package var defaultDeadline: Duration?
  /// How long a call may take whatever its caller says.
  package var maxDeadline: Duration?
  package var responseCompression: ResponseCompression?

  package init(
    maxRequestBytes: Int? = nil, maxResponseBytes: Int? = nil, defaultDeadline: Duration? = nil,
    maxDeadline: Duration? = nil, responseCompression: ResponseCompression? = nil
  ) {
    self.maxRequestBytes = maxRequestBytes
    self.maxResponseBytes = maxResponseBytes
    self.defaultDeadline = defaultDeadline
    self.maxDeadline = maxDeadline
    self.responseCompression = responseCompression
  }
}

/// The limits of one method as its calls meet them.
struct CallLimits: Sendable {
  let maxRequestBytes: Int
  let maxResponseBytes: Int
  let responseCompression: ResponseCompression
  private let defaultTimeout: TimeAmount?
  private let maxTimeout: TimeAmount?

  init(_ method: MethodLimits?, _ definition: MethodDefinition, of server: RPCServer.Configuration) {
    maxRequestBytes = method?.maxRequestBytes ?? min(server.maxMessageBytes, definition.maxRequestBytes)
    maxResponseBytes = method?.maxResponseBytes ?? server.maxResponseBytes
    responseCompression = method?.responseCompression ?? server.responseCompression
    maxTimeout = (method?.maxDeadline ?? server.maxDeadline).map { TimeAmount($0) }
    defaultTimeout = (method?.defaultDeadline ?? server.defaultDeadline).map { TimeAmount($0) }
  }

  /// How long a call may take whose caller asked for `asked`.
  func timeout(asked: TimeAmount?) -> TimeAmount? {
    guard let timeout = asked ?? defaultTimeout else { return maxTimeout }
    return maxTimeout.map { min($0, timeout) } ?? timeout
  }
}
