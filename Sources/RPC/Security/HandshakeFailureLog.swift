import Logging
import NIOCore
import Synchronization

/// Tells of failed handshakes, of each cause once a minute: the first one is news, a thousand more are a client that
/// tries again, or somebody who wants to fill the disk.
final class HandshakeFailureLog: Sendable {
  static let interval = TimeAmount.minutes(1)
  /// Causes told apart. BoringSSL knows some hundreds; this many at once is somebody playing.
  static let maxCauses = 32

  private struct Cause {
    var told: NIODeadline
    var untold = 0
  }

  private let causes = Mutex<[TLSFailure: Cause]>([:])

  func record(_ failure: TLSFailure, peer: SocketAddress?, logger: Logger) {
    guard let untold = count(failure, now: .now()) else { return }
    var metadata: Logger.Metadata = [
      "peer": "\(peer.flatMap { RPCAddress($0) }.map { "\($0)" } ?? "unknown")"
    ]
    if untold > 0 { metadata["more"] = "\(untold)" }
    logger.warning("TLS handshake failed: \(failure)", metadata: metadata)
  }

  /// How many of the kind were not told since one was, or `nil` if this one is not to be told either.
  func count(_ failure: TLSFailure, now: NIODeadline) -> Int? {
    causes.withLock { causes in
      guard let cause = causes[failure] else {
        if causes.count >= Self.maxCauses { causes = causes.filter { now - $0.value.told < Self.interval } }
        guard causes.count < Self.maxCauses else { return nil }
        causes[failure] = Cause(told: now)
        return 0
      }
      guard now - cause.told >= Self.interval else {
        causes[failure]?.untold += 1
        return nil
      }
      causes[failure] = Cause(told: now)
      return cause.untold
    }
  }
}
