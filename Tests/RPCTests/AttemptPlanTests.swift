import Testing

@testable import RPC

@Suite("The attempts of a call") struct AttemptPlanTests {
  typealias Reach = ClientAttemptState.Reach

  struct Ending: Sendable {
    var code: StatusCode
    var reach = Reach.handler
    var pushback: Pushback?
    init(_ code: StatusCode, _ reach: Reach = .handler, _ pushback: Pushback? = nil) {
      self.code = code
      self.reach = reach
      self.pushback = pushback
    }
  }

  static let retry = AttemptPolicy.retry(
    RetryPolicy(
      maxAttempts: 4, initialBackoff: .milliseconds(100), maxBackoff: .milliseconds(300), multiplier: 2,
      codes: [.unavailable, .aborted]))
  static let hedge = AttemptPolicy.hedge(
    HedgingPolicy(maxAttempts: 3, delay: .milliseconds(50), nonFatalCodes: [.unavailable]))

  /// Each attempt begins when the one before it has ended.
  private func decisions(_ policy: AttemptPolicy, _ endings: [Ending]) -> [AttemptPlan.Decision] {
    let throttle = RetryThrottle(RetryLimits())
    var plan = AttemptPlan(policy)
    plan.begin(replacing: false)
    return endings.map { ending in
      let decision = plan.ended(
        ending.code, reach: ending.reach, pushback: ending.pushback, throttle: throttle, random: 1)
      if decision != .finish { plan.begin(replacing: decision == .replace) }
      return decision
    }
  }

  @Test(
    "follow each other as their outcomes demand",
    arguments: [
      (AttemptPolicy.once, [Ending(.ok)], [AttemptPlan.Decision.finish]),
      (.once, [Ending(.unavailable)], [.finish]),
      // The pause grows to its bound, and then there are no more attempts.
      (
        retry, [Ending(.unavailable), Ending(.aborted), Ending(.unavailable), Ending(.unavailable)],
        [
          .again(after: .milliseconds(100)), .again(after: .milliseconds(200)),
          .again(after: .milliseconds(300)), .finish,
        ]
      ),
      (retry, [Ending(.unavailable), Ending(.ok)], [.again(after: .milliseconds(100)), .finish]),
      (retry, [Ending(.notFound)], [.finish]),
      (retry, [Ending(.unavailable), Ending(.internal)], [.again(after: .milliseconds(100)), .finish]),
      // The server names the pause, and the growing ones start anew.
      (
        retry,
        [Ending(.unavailable), Ending(.unavailable, .handler, .after(.seconds(7))), Ending(.unavailable)],
        [.again(after: .milliseconds(100)), .again(after: .seconds(7)), .again(after: .milliseconds(100))]
      ),
      (retry, [Ending(.unavailable, .handler, .never)], [.finish]),
      // What no handler has seen is made again whatever the policy: up to ten times if it never left, once if
      // it was refused.
      (
        .once,
        [
          Ending(.unavailable, .client), Ending(.unavailable, .client), Ending(.unavailable, .server),
          Ending(.unavailable, .client), Ending(.unavailable, .server),
        ],
        [.replace, .replace, .replace, .replace, .finish]
      ),
      (
        .once, Array(repeating: Ending(.unavailable, .client), count: 11),
        Array(repeating: .replace, count: 10) + [.finish]
      ),
      (
        retry, [Ending(.unavailable, .server), Ending(.unavailable, .server)],
        [.replace, .again(after: .milliseconds(100))]
      ),
      // Hedges do not wait for each other's failures.
      (
        hedge, [Ending(.unavailable), Ending(.unavailable), Ending(.unavailable)],
        [.again(after: .zero), .again(after: .zero), .finish]
      ),
      (hedge, [Ending(.notFound)], [.finish]),
      (hedge, [Ending(.unavailable, .handler, .after(.seconds(1)))], [.again(after: .seconds(1))]),
    ])
  func sequence(policy: AttemptPolicy, endings: [Ending], expected: [AttemptPlan.Decision]) {
    #expect(decisions(policy, endings) == expected)
  }

  @Test("are five at most, whatever the policy asks for")
  func bound() {
    let policy = AttemptPolicy.retry(RetryPolicy(maxAttempts: 100))
    let decisions = decisions(policy, Array(repeating: Ending(.unavailable), count: 5))
    #expect(decisions.map { $0 == .finish } == [false, false, false, false, true])
  }

  @Test("pause for a random part of the bound")
  func jitter() {
    var plan = AttemptPlan(Self.retry)
    plan.begin(replacing: false)
    let decision = plan.ended(
      .unavailable, reach: .handler, pushback: nil, throttle: RetryThrottle(RetryLimits()), random: 0.25)
    #expect(decision == .again(after: .milliseconds(25)))
  }

  @Test("end with the one the call is committed to")
  func commitment() {
    var plan = AttemptPlan(Self.retry)
    plan.begin(replacing: false)
    plan.commit()
    let decision = plan.ended(
      .unavailable, reach: .handler, pushback: nil, throttle: RetryThrottle(RetryLimits()), random: 1)
    #expect(decision == .finish)
  }

  @Test("count for the throttle although the call is committed to them")
  func committedFailure() {
    let throttle = RetryThrottle(RetryLimits())
    for _ in 0..<500 {
      var plan = AttemptPlan(Self.retry)
      plan.begin(replacing: false)
      plan.commit()
      _ = plan.ended(.unavailable, reach: .handler, pushback: nil, throttle: throttle, random: 1)
    }
    #expect(!throttle.isOpen)
  }

  @Test(
    "do not follow once they are stopped, whatever became of the last",
    arguments: [Reach.client, .server, .handler])
  func stopped(reach: Reach) {
    var plan = AttemptPlan(Self.retry)
    plan.begin(replacing: false)
    plan.stop()
    let decision = plan.ended(
      .unavailable, reach: reach, pushback: nil, throttle: RetryThrottle(RetryLimits()), random: 1)
    #expect(decision == .finish)
  }

  @Test("that run side by side wait for each other's better outcome, and a fatal one ends them")
  func sideBySide() {
    let throttle = RetryThrottle(RetryLimits())
    func ended(_ plan: inout AttemptPlan, _ code: StatusCode, _ pushback: Pushback? = nil)
      -> AttemptPlan.Decision
    {
      plan.ended(code, reach: .handler, pushback: pushback, throttle: throttle, random: 1)
    }
    var plan = AttemptPlan(Self.hedge)
    plan.begin(replacing: false)
    #expect(plan.hedgingDelay == .milliseconds(50))
    plan.begin(replacing: false)
    plan.begin(replacing: false)
    #expect(plan.hedgingDelay == nil)
    #expect(ended(&plan, .unavailable) == .wait)
    var other = plan
    #expect(ended(&plan, .unavailable) == .wait)
    #expect(ended(&plan, .unavailable) == .finish)
    #expect(ended(&other, .invalidArgument) == .finish)

    // A server that wants no more of them stops those that have not begun.
    plan = AttemptPlan(Self.hedge)
    plan.begin(replacing: false)
    plan.begin(replacing: false)
    #expect(ended(&plan, .unavailable, .never) == .wait)
    #expect(plan.hedgingDelay == nil)
    #expect(ended(&plan, .unavailable) == .finish)
  }

  @Test(
    "heed what the server says about them",
    arguments: [
      ("0", Pushback.after(.zero)), ("250", .after(.milliseconds(250))), ("-1", .never), ("", .never),
      ("300000", .after(.seconds(300))), ("300001", .never), ("9223372036854775807", .never),
      ("soon", .never), ("1.5", .never),
    ])
  func pushback(text: String, expected: Pushback) {
    #expect(Pushback(text) == expected)
  }
}

@Suite("The retry throttle") struct RetryThrottleTests {
  private func throttle(_ tokens: Int, _ perSuccess: Double) -> RetryThrottle {
    var limits = RetryLimits()
    limits.tokens = tokens
    limits.tokensPerSuccess = perSuccess
    return RetryThrottle(limits)
  }

  @Test("closes when half of its tokens are gone and opens with enough successes")
  func halfRule() {
    let throttle = throttle(4, 0.5)
    #expect(throttle.failed())
    #expect(!throttle.failed())
    #expect(!throttle.isOpen)
    throttle.succeeded()
    #expect(throttle.isOpen)
  }

  @Test("holds neither more than its tokens nor less than none")
  func bounds() {
    let throttle = throttle(4, 0.5)
    for _ in 0..<100 { throttle.succeeded() }
    #expect(throttle.failed())
    for _ in 0..<100 { _ = throttle.failed() }
    for _ in 0..<4 { throttle.succeeded() }
    #expect(!throttle.isOpen)
    throttle.succeeded()
    #expect(throttle.isOpen)
  }

  @Test("stops what a policy allows")
  func stops() {
    let throttle = throttle(2, 0.1)
    var plan = AttemptPlan(AttemptPlanTests.retry)
    plan.begin(replacing: false)
    let decision = plan.ended(.unavailable, reach: .handler, pushback: nil, throttle: throttle, random: 1)
    #expect(decision == .finish)
  }
}

@Suite("The policy of a method") struct CallPolicyTests {
  @Test("is the most special one that says something, field by field")
  func precedence() {
    let policies = CallPolicies(
      general: CallPolicy(timeout: .seconds(1), readiness: .wait(atMost: nil), maxRequestBytes: 1),
      services: ["a.S": CallPolicy(timeout: .seconds(2), attempts: .once)],
      methods: ["/a.S/M": CallPolicy(timeout: .seconds(3))])
    let method = policies.policy(for: "/a.S/M", isIdempotent: true)
    #expect(
      method
        == CallPolicy(
          timeout: .seconds(3), readiness: .wait(atMost: nil), attempts: .once, maxRequestBytes: 1))
    #expect(policies.policy(for: "/a.S/N", isIdempotent: false).timeout == .seconds(2))
    #expect(policies.policy(for: "/b.S/M", isIdempotent: false).timeout == .seconds(1))
  }

  @Test("retries what the contract calls idempotent, and nothing else, unless it is told to")
  func idempotent() {
    let policies = CallPolicies()
    #expect(policies.policy(for: "/a.S/M", isIdempotent: true).attempts == .retry(RetryPolicy()))
    #expect(policies.policy(for: "/a.S/M", isIdempotent: false).attempts == nil)
  }
}
