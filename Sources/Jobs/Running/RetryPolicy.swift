/// How long a job rests before it is tried again: exponential, with full jitter, so that jobs which failed together do
/// not come back together.
package struct RetryPolicy: Sendable, Hashable {
  /// The most after the first failure; twice that after the second, and so on.
  package var base = Duration.seconds(2)
  /// Never more than this.
  package var cap = Duration.seconds(3600)

  package init() {}

  package init(base: Duration, cap: Duration) {
    self.base = base
    self.cap = cap
  }

  /// - Parameter failures: how often the job has failed, counting this time: from 1.
  func delay(afterFailures failures: Int, using random: inout some RandomNumberGenerator) -> Duration {
    // Past 2^30 any cap has been reached.
    let most = min(cap, base * (1 << min(max(failures, 1) - 1, 30)))
    return most * Double.random(in: 0...1, using: &random)
  }
}
