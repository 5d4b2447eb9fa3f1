import Metrics
import Synchronization

/// What all calls of a client share.
final class CallSettings: Sendable {
  let retries: RetryLimits
  let throttle: RetryThrottle
  let replayBudget: ReplayBudget
  /// All interceptors as one.
  let interceptor: ClientInterceptor?

  private let policies: CallPolicies
  private let metrics: any MetricsFactory
  private let methods = Mutex<[String: ClientMethod]>([:])

  init(_ configuration: RPCClient.Configuration) {
    retries = configuration.retries
    throttle = RetryThrottle(retries)
    replayBudget = ReplayBudget(limit: retries.maxReplayBytesOfAll)
    interceptor = ClientInterceptor.composed(configuration.interceptors)
    policies = configuration.policies
    metrics = configuration.metrics
  }

  /// The method with its policy and its metrics, which are made when it is first asked for.
  func method(_ path: String, isIdempotent: Bool) -> ClientMethod {
    methods.withLock { methods in
      if let known = methods[path] { return known }
      let method = ClientMethod(
        path: path, policy: policies.policy(for: path, isIdempotent: isIdempotent),
        metrics: ClientMetrics(path: path, factory: metrics))
      methods[path] = method
      return method
    }
  }
}
