package import Logging
import NIOCore

/// Code that runs around the handlers of a server: to log, trace, check or translate. It is wrapped around each
/// handler once, when the server is made, so a server without interceptors pays nothing for them.
///
/// What is decided before a handler starts does not pass here: admission, unknown methods, malformed requests.
package struct ServerInterceptor: Sendable {
  let wrap: @Sendable (MethodDefinition) -> MethodDefinition.Handler

  /// The general form: gives back the handler to run in place of the method's own, which may be the same.
  package init(wrap: @escaping @Sendable (MethodDefinition) -> MethodDefinition.Handler) {
    self.wrap = wrap
  }

  /// Runs `body` around every call. It calls `next` once, or throws the error to end the call with; what `next`
  /// throws is the handler's own error.
  package static func around(
    _ body: @escaping @Sendable (CallContext, _ next: () async throws -> Void) async throws -> Void
  ) -> ServerInterceptor {
    ServerInterceptor { method in
      switch method.handler {
      case .unary(let handler):
        .unary { request, context in
          var response: ByteBuffer?
          try await body(context) { response = try await handler(request, context) }
          guard let response else { throw RPCError.notHandled }
          return response
        }
      case .streaming(let handler):
        .streaming { requests, responses, context in
          try await body(context) { try await handler(requests, responses, context) }
        }
      }
    }
  }

  /// Replaces the errors that `transform` knows.
  package static func mappingErrors(
    _ transform: @escaping @Sendable (any Error) -> RPCError?
  ) -> ServerInterceptor {
    around { _, next in
      do { try await next() } catch { throw transform(error) ?? error }
    }
  }

  /// Logs each call when it has ended: method, status, duration, peer.
  package static func logging(to logger: Logger, level: Logger.Level = .info) -> ServerInterceptor {
    around { context, next in
      let began = NIODeadline.now()
      func log(_ code: StatusCode) {
        logger.log(
          level: level, "call",
          metadata: [
            "method": "\(context.method)", "code": "\(code.name)",
            "microseconds": "\((NIODeadline.now() - began).nanoseconds / 1000)",
            "peer": "\(context.peer.map { "\($0)" } ?? "unknown")",
          ])
      }
      do {
        try await next()
        log(.ok)
      } catch {
        log((error as? RPCError)?.code ?? (error is CancellationError ? .cancelled : .unknown))
        throw error
      }
    }
  }
}

extension MethodDefinition {
  /// The method within the interceptors, of which the first is the outermost.
  func intercepted(by interceptors: [ServerInterceptor]) -> MethodDefinition {
    interceptors.reversed().reduce(into: self) { method, interceptor in
      method.handler = interceptor.wrap(method)
    }
  }
}

extension RPCError {
  static let notHandled = RPCError(.internal, "an interceptor neither ran the handler nor refused the call")
}
