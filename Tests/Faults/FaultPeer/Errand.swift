import ArgumentParser
import Jobs
import NIOCore

/// The job of these tests: takes its time, and leaves traces in the ledger.
struct Errand: JobKind {
  static let name = "errand"
  static let queue = "errands"

  static var options: JobOptions {
    var options = JobOptions()
    // Failures here are the database's, and pass.
    options.maxAttempts = 1000
    options.retry = RetryPolicy(base: .milliseconds(100), cap: .seconds(1))
    options.timeout = .seconds(60)
    return options
  }

  enum Manner: String, Codable, ExpressibleByArgument {
    /// Its effect and its acknowledgement are one transaction.
    case whole
    /// Its effect is there before it is acknowledged.
    case apart
    /// Like `whole`, and does not hear that it is to stop.
    case deaf
    /// Like `whole`, and takes its time between acknowledgement and commit.
    case dawdling
    /// Kills its process.
    case poison
    /// Leaves no traces but how long it waited.
    case timed
  }

  var manner: Manner
  /// What it takes.
  var milliseconds: Int64
  /// By the machine's own clock, which all processes on it share and nobody sets.
  var addedAtMicroseconds = Int64(NIODeadline.now().uptimeNanoseconds / 1000)
}
