/// Which attempts a call makes: the rules of gRFC A6, without streams and timers.
struct AttemptPlan {
  enum Decision: Equatable {
    /// The outcome of the attempt is that of the call.
    case finish
    /// Nobody has seen the attempt: another takes its place at once.
    case replace
    /// Another attempt, after a pause.
    case again(after: Duration)
    /// Other attempts of the call are under way.
    case wait
  }

  private let policy: AttemptPolicy
  /// Attempts begun, replaced ones aside.
  private(set) var begun = 0
  private var running = 0
  private var wasReplaced = false
  private var replacements = 0
  /// gRFC A6 knows no limit for what never left us, but connections that end before they carry anything may go on
  /// for ever, and the call may have no deadline.
  static let maxReplacements = 10
  private var isStopped = false
  /// Attempts since the server last named the pause itself, which starts the growing ones anew.
  private var failures = 0
  /// One attempt has been chosen: its outcome is that of the call.
  private(set) var isCommitted = false

  init(_ policy: AttemptPolicy) {
    self.policy = policy
  }

  mutating func begin(replacing: Bool) {
    running += 1
    if !replacing { begun += 1 }
  }

  mutating func commit() {
    isCommitted = true
  }

  /// No attempt follows those that have begun.
  mutating func stop() {
    isStopped = true
  }

  /// Attempts are under way.
  var isRunning: Bool { running > 0 }

  var isHedging: Bool {
    if case .hedge = policy { true } else { false }
  }

  /// How long the attempts under way have until another joins them; `nil` when none does.
  var hedgingDelay: Duration? {
    guard case .hedge(let hedging) = policy, mayContinue else { return nil }
    return hedging.delay
  }

  /// - Parameter random: evenly chosen from 0...1.
  mutating func ended(
    _ code: StatusCode, reach: ClientAttemptState.Reach, pushback: Pushback?, throttle: RetryThrottle,
    random: @autoclosure () -> Double
  ) -> Decision {
    running -= 1
    if code == .ok {
      if policy != .once { throttle.succeeded() }
      return .finish
    }
    if mayReplace(reach) { return .replace }
    guard allowsAnother(after: code) else { return .finish }
    // The throttle sees what fails whether or not anything can be made of it (gRFC A6).
    let isThrottled = !throttle.failed()
    if isCommitted { return .finish }
    if pushback == .never { isStopped = true }
    guard mayContinue, !isThrottled else { return running > 0 ? .wait : .finish }
    return .again(after: pause(pushback, random()))
  }

  private mutating func mayReplace(_ reach: ClientAttemptState.Reach) -> Bool {
    guard !isCommitted, !isStopped else { return false }
    switch reach {
    case .client where replacements < Self.maxReplacements:
      replacements += 1
      return true
    case .server where !wasReplaced:
      wasReplaced = true
      return true
    case .client, .server, .handler:
      return false
    }
  }

  private func allowsAnother(after code: StatusCode) -> Bool {
    switch policy {
    case .once: false
    case .retry(let retry): retry.codes.contains(code)
    case .hedge(let hedging): hedging.nonFatalCodes.contains(code)
    }
  }

  private var mayContinue: Bool {
    guard !isCommitted, !isStopped else { return false }
    switch policy {
    case .once: return false
    case .retry(let retry): return begun < min(retry.maxAttempts, AttemptPolicy.maxAttempts)
    case .hedge(let hedging): return begun < min(hedging.maxAttempts, AttemptPolicy.maxAttempts)
    }
  }

  private mutating func pause(_ pushback: Pushback?, _ random: Double) -> Duration {
    if case .after(let pause) = pushback {
      failures = 0
      return pause
    }
    failures += 1
    guard case .retry(let retry) = policy else { return .zero }
    return retry.maxPause(before: failures + 1) * random
  }
}

/// What a server says about further attempts, in `grpc-retry-pushback-ms`.
enum Pushback: Equatable {
  case after(Duration)
  case never

  /// Whoever is to wait longer is turned away, rather than kept with its request for as long as a server likes.
  static let most = Duration.seconds(300)

  /// A value that is no number of milliseconds counts as a refusal (gRFC A6, "Pushback").
  init(_ text: some StringProtocol) {
    let pause = Int64(text).map { Duration.milliseconds($0) }
    self = pause.flatMap { (.zero...Self.most).contains($0) ? .after($0) : nil } ?? .never
  }
}
