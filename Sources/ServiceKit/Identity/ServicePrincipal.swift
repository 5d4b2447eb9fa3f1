package import Logging
package import MainstreetAPI
internal import NIOCore
package import RPC
internal import ServiceLifecycle
internal import Synchronization

/// What a program is to the others: a principal of its own, had from identity for its secret and renewed long before it
/// ends.
package final class ServicePrincipal: Service {
  package struct Timing: Sendable {
    /// After a failure.
    package var retryInterval: Duration = .seconds(1)
    package var deadline: Duration = .seconds(5)

    package init() {}
  }

  private struct State {
    var text: String?
    var expiresAt: Int64 = 0
  }

  private let name: String
  private let secret: String
  private let identity: AccessServiceClient
  private let readiness: Readiness
  private let timing: Timing
  private let now: @Sendable () -> Int64
  private let logger: Logger
  private let state = Mutex(State())

  /// - Parameters:
  ///   - name: of the program, e.g. `edge`.
  ///   - secret: what identity was told that a program of this name knows.
  package init(
    name: String, secret: String, from identity: AccessServiceClient, readiness: Readiness,
    timing: Timing = Timing(), now: @escaping @Sendable () -> Int64 = unixSeconds, logger: Logger
  ) {
    self.name = name
    self.secret = secret
    self.identity = identity
    self.readiness = readiness
    self.timing = timing
    self.now = now
    self.logger = logger
    readiness.report("identity has given no principal yet", of: Self.part)
  }

  private static let part = "service principal"

  /// To be sent as `mainstreet-principal`.
  /// - Throws: UNAVAILABLE while there is none, or none that counts.
  package var text: String {
    get throws(RPCError) {
      let state = state.withLock { $0 }
      guard let text = state.text, now() < state.expiresAt else {
        throw RPCError(
          .unavailable, "identity has not said who this service is", reason: "IDENTITY_UNAVAILABLE",
          retryAfter: .seconds(1))
      }
      return text
    }
  }

  package func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        let pause = await self.renew()
        try? await Task.sleep(for: pause)
      }
    }
  }

  /// - Returns: when to do so again: after two thirds of its life, so that identity may be away for the last third.
  private func renew() async -> Duration {
    do {
      let answer = try await identity.issueServicePrincipal(
        IssueServicePrincipalRequest(service: name, secret: secret),
        options: CallOptions(deadline: .now() + TimeAmount(timing.deadline))
      ).message
      let expiresAt = answer.expiresAt?.seconds ?? 0
      state.withLock { $0 = State(text: answer.principal, expiresAt: expiresAt) }
      readiness.report(nil, of: Self.part)
      return max(.seconds((expiresAt - now()) * 2 / 3), timing.retryInterval)
    } catch {
      if Task.isCancelled { return timing.retryInterval }
      let trouble = "identity gives no principal: \(error.plain)"
      if (try? text) == nil { readiness.report(trouble, of: Self.part) }
      logger.warning("\(trouble)")
      return timing.retryInterval
    }
  }
}

extension ClientInterceptor {
  /// Has calls act for the service itself, unless their options say for whom they act.
  package static func acting(as principal: ServicePrincipal) -> ClientInterceptor {
    @Sendable func identified(_ call: Call) throws(RPCError) -> Call {
      guard call.options.metadata[Principal.metadataKey] == nil else { return call }
      var call = call
      call.options.metadata.add(Principal.metadataKey, try principal.text)
      return call
    }
    return ClientInterceptor(
      unary: { call, request, next in try await next(try identified(call), request) },
      stream: { call, next in try await next(try identified(call)) })
  }
}
