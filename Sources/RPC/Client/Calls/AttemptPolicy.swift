/// How often a call may be attempted, and when (gRFC A6). Whatever it says, an attempt that no handler can have seen
/// is made again.
package enum AttemptPolicy: Sendable, Hashable {
  case once
  /// Again after a failure. For calls that may safely be carried out twice.
  case retry(RetryPolicy)
  /// Again before the answer to the first is here, and the first good answer wins. For reads.
  case hedge(HedgingPolicy)

  /// No configuration makes a call ask more often, so that none turns an outage into a flood.
  package static let maxAttempts = 5
}

package struct RetryPolicy: Sendable, Hashable {
  /// With the first one; at most `AttemptPolicy.maxAttempts`.
  package var maxAttempts: Int
  /// The pause before the next attempt is chosen evenly from nothing to a bound, which starts here…
  package var initialBackoff: Duration
  /// …ends here…
  package var maxBackoff: Duration
  /// …and grows by this factor.
  package var multiplier: Double
  /// The statuses after which the call may be attempted again.
  package var codes: StatusCodes

  package init(
    maxAttempts: Int = 3, initialBackoff: Duration = .milliseconds(100), maxBackoff: Duration = .seconds(1),
    multiplier: Double = 2, codes: StatusCodes = [.unavailable]
  ) {
    self.maxAttempts = maxAttempts
    self.initialBackoff = initialBackoff
    self.maxBackoff = maxBackoff
    self.multiplier = multiplier
    self.codes = codes
  }

  /// The longest pause before attempt `number`, which is at least 2.
  func maxPause(before number: Int) -> Duration {
    var pause = initialBackoff
    for _ in 2..<max(number, 2) where pause < maxBackoff { pause = pause * multiplier }
    return min(pause, maxBackoff)
  }
}

package struct HedgingPolicy: Sendable, Hashable {
  /// With the first one; at most `AttemptPolicy.maxAttempts`.
  package var maxAttempts: Int
  /// How long an attempt may go without an answer until the next joins it.
  package var delay: Duration
  /// The statuses that do not end the call while another attempt may do better. The next attempt starts at once.
  package var nonFatalCodes: StatusCodes

  package init(maxAttempts: Int = 2, delay: Duration, nonFatalCodes: StatusCodes = [.unavailable]) {
    self.maxAttempts = maxAttempts
    self.delay = delay
    self.nonFatalCodes = nonFatalCodes
  }
}

/// What all retries of a client together may cost.
package struct RetryLimits: Sendable {
  /// Tokens of the throttle: about half as many failures in a burst may be retried. As large as gRFC A6 allows,
  /// because a server that is lost takes with it all calls it was working on.
  package var tokens = 1000
  /// What a success gives back: with a tenth, no more than a tenth of the calls are retried for long.
  package var tokensPerSuccess = 0.1
  /// Request bytes a streaming call keeps to send them again. A call that has written more is committed to the
  /// attempt it has.
  package var maxReplayBytes = 256 << 10
  /// The same for all calls of the client.
  package var maxReplayBytesOfAll = 16 << 20

  package init() {}
}

/// A set of status codes.
package struct StatusCodes: Sendable, Hashable, ExpressibleByArrayLiteral {
  private var bits: UInt32 = 0

  package init(arrayLiteral codes: StatusCode...) {
    for code in codes { bits |= 1 << UInt32(code.rawValue) }
  }

  package func contains(_ code: StatusCode) -> Bool { bits & 1 << UInt32(code.rawValue) != 0 }
}
