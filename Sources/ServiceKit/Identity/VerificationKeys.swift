package import Logging
package import MainstreetAPI
internal import NIOCore
internal import RPC
internal import ServiceLifecycle

/// Keeps the keys of a verifier as identity has them: reads them at start, every minute, and when a principal names one
/// that is not known.
///
/// While identity cannot be reached the keys stay as they were. Before they were read once, the program is not ready.
package struct VerificationKeys: Service {
  package struct Timing: Sendable {
    package var interval: Duration = .seconds(60)
    /// After a failure.
    package var retryInterval: Duration = .seconds(1)
    package var deadline: Duration = .seconds(5)

    package init() {}
  }

  let verifier: PrincipalVerifier
  private let identity: AccessServiceClient
  private let readiness: Readiness
  private let timing: Timing
  private let logger: Logger

  package init(
    _ verifier: PrincipalVerifier, from identity: AccessServiceClient, readiness: Readiness,
    timing: Timing = Timing(), logger: Logger
  ) {
    self.verifier = verifier
    self.identity = identity
    self.readiness = readiness
    self.timing = timing
    self.logger = logger
    readiness.report("the keys that principals are verified with have not been read", of: Self.part)
  }

  private static let part = "identity"

  package func run() async throws {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask {
          while !Task.isCancelled {
            let pause = await read() ? timing.interval : timing.retryInterval
            try? await Task.sleep(for: pause)
          }
        }
        group.addTask {
          for await _ in verifier.keyRequests { _ = await read() }
        }
      }
    }
  }

  private func read() async -> Bool {
    do {
      let options = CallOptions(deadline: .now() + TimeAmount(timing.deadline))
      try verifier.use(try await identity.listVerificationKeys(.init(), options: options).message.keys)
      readiness.report(nil, of: Self.part)
      return true
    } catch {
      if Task.isCancelled { return false }
      let trouble = "the keys that principals are verified with cannot be read: \(error.plain)"
      if !verifier.hasKeys { readiness.report(trouble, of: Self.part) }
      logger.warning("\(trouble)")
      return false
    }
  }
}

extension Error {
  /// As an operator reads it.
  var plain: String {
    (self as? RPCError).map { "\($0.code.name): \($0.message)" } ?? "\(self)"
  }
}
