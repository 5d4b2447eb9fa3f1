package import NIOCore

/// What a caller says about one call.
package struct CallOptions: Sendable {
  /// Sent with the request.
  package var metadata: Metadata
  /// When the caller stops waiting. A `policy.timeout` that ends earlier counts instead.
  package var deadline: NIODeadline?
  /// What is set here goes before what the client is configured with.
  package var policy: CallPolicy

  package init(
    metadata: Metadata = [:], deadline: NIODeadline? = nil, policy: CallPolicy = CallPolicy()
  ) {
    self.metadata = metadata
    self.deadline = deadline
    self.policy = policy
  }
}

extension CallContext {
  /// Options for a call made on behalf of this one: it ends no later, and is traced as part of the same request.
  ///
  /// Who the caller is does not pass on by itself: a service acts in its own name.
  package var options: CallOptions {
    var options = CallOptions(deadline: deadline)
    for entry in metadata where Self.passedOn.contains(entry.name) { options.metadata.add(entry) }
    return options
  }

  private static let passedOn = ["traceparent", "tracestate", "x-request-id"]
}

/// How a method is called. What is `nil` is left to the next level: the call, the method, its service, all methods.
package struct CallPolicy: Sendable, Hashable {
  /// How long a call may take, all its attempts together.
  package var timeout: Duration?
  /// What a call does while there is no connection.
  package var readiness: Readiness?
  /// By default once, and again after UNAVAILABLE if the contract says that the method is idempotent.
  package var attempts: AttemptPolicy?
  /// Bytes of one request message; RESOURCE_EXHAUSTED above.
  package var maxRequestBytes: Int?
  /// Bytes of one response message; RESOURCE_EXHAUSTED above.
  package var maxResponseBytes: Int?
  /// How request messages travel; by default as the client's configuration says. Responses are taken either way.
  package var compression: MessageEncoding?

  package init(
    timeout: Duration? = nil, readiness: Readiness? = nil, attempts: AttemptPolicy? = nil,
    maxRequestBytes: Int? = nil, maxResponseBytes: Int? = nil, compression: MessageEncoding? = nil
  ) {
    self.timeout = timeout
    self.readiness = readiness
    self.attempts = attempts
    self.maxRequestBytes = maxRequestBytes
    self.maxResponseBytes = maxResponseBytes
    self.compression = compression
  }

  package enum Readiness: Sendable, Hashable {
    /// Waits while a connection is being made, and fails once that has failed.
    case failFast
    /// Waits for a connection until its deadline, or no longer than this; then it fails with what keeps the
    /// connection from being made.
    case wait(atMost: Duration?)
  }

  /// This policy, and `general` where it says nothing.
  func over(_ general: CallPolicy) -> CallPolicy {
    CallPolicy(
      timeout: timeout ?? general.timeout, readiness: readiness ?? general.readiness,
      attempts: attempts ?? general.attempts, maxRequestBytes: maxRequestBytes ?? general.maxRequestBytes,
      maxResponseBytes: maxResponseBytes ?? general.maxResponseBytes,
      compression: compression ?? general.compression)
  }
}

/// The policies of a client, as gRPC's service config has them. The more special one counts, field by field.
package struct CallPolicies: Sendable {
  /// For every method.
  package var general: CallPolicy
  /// By the full name of a service, e.g. `mainstreet.store.v1.StoreService`.
  package var services: [String: CallPolicy]
  /// By the path of a method, e.g. `/mainstreet.store.v1.StoreService/GetStore`.
  package var methods: [String: CallPolicy]

  package init(
    general: CallPolicy = CallPolicy(), services: [String: CallPolicy] = [:],
    methods: [String: CallPolicy] = [:]
  ) {
    self.general = general
    self.services = services
    self.methods = methods
  }

  func policy(for path: String, isIdempotent: Bool) -> CallPolicy {
    let service = path.dropFirst().prefix { $0 != "/" }
    var policy = methods[path] ?? CallPolicy()
    policy = policy.over(services[String(service)] ?? CallPolicy()).over(general)
    return isIdempotent ? policy.over(CallPolicy(attempts: .retry(RetryPolicy()))) : policy
  }
}
