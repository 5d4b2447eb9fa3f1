import HTTP2
import NIOCore
import Synchronization

/// The request messages of a call, kept until it is certain which attempt answers it.
struct ReplayBuffer {
  /// Kept apart from the others because a unary call has only one: no array is allocated for it.
  private var first: WireMessage?
  private var others: [WireMessage] = []
  /// What is kept only for further attempts occupies, in bytes.
  private(set) var count = 0
  /// It has more than it may: the next attempt is the last.
  var isFull = false

  init() {}

  /// The request of a unary call. Its caller holds it as long as the call lasts: that we do costs no memory.
  init(only message: WireMessage) {
    first = message
  }

  /// - Returns: what the message occupies. One of a few bytes is mostly what is kept to know of it.
  mutating func append(_ message: WireMessage) -> Int {
    let occupied = message.bytes.readableBytes + OutboundQueue.pieceBytes
    count += occupied
    if first == nil { first = message } else { others.append(message) }
    return occupied
  }

  func forEach(_ body: (WireMessage) -> Void) {
    first.map(body)
    others.forEach(body)
  }
}

/// The bytes all streaming calls of a client keep to send them again.
final class ReplayBudget: Sendable {
  private let limit: Int
  private let taken = Atomic(0)

  init(limit: Int) {
    self.limit = limit
  }

  var used: Int { taken.load(ordering: .relaxed) }

  /// False when it was too much; the bytes count all the same, until they are given back.
  func take(_ count: Int) -> Bool {
    taken.add(count, ordering: .relaxed).newValue <= limit
  }

  func giveBack(_ count: Int) {
    if count > 0 { taken.subtract(count, ordering: .relaxed) }
  }
}
