import DequeModule
import NIOCore
import RPC

/// An answer is the same for all who ask with the same key.
struct ReadKey: Hashable, Sendable {
  /// Of the rpc.
  let path: String
  /// Everything about the caller that may change the answer: tenant, roles and scopes; empty for what everyone may read.
  let audience: String
  /// The message.
  let request: ByteBuffer
}

struct ReadAnswer: Sendable {
  let message: ByteBuffer
  let initialMetadata: Metadata
}

/// How old an answer may be, as the contract says of the rpc.
struct ReadPolicy: Hashable, Sendable {
  /// As good as new.
  var fresh: TimeAmount
  /// After that, still given for so long, while whoever got it fetches another.
  var stale: TimeAmount
}

/// Which reads are answered with what is here, which are fetched, and which wait for another's fetch. No I/O, no clock.
struct ReadCacheState {
  enum Decision {
    case fresh(ReadAnswer)
    /// To be given; if `fetches`, the one who got it is to fetch a new one after that.
    case stale(ReadAnswer, fetches: Bool)
    /// Nobody is fetching it: do.
    case fetch
    /// Somebody is: wait.
    case wait
  }

  /// What becomes of those that wait when a fetch has ended.
  enum Ending {
    case answered(ReadAnswer)
    case failed(any Error)
    /// The caller went away: one of those that wait fetches in its place.
    case abandoned
  }

  private struct Entry {
    let answer: ReadAnswer
    let at: NIODeadline
    let number: UInt64
    let bytes: Int
  }

  /// All answers together, with their keys.
  let maxBytes: Int
  /// Larger ones are not kept.
  let maxAnswerBytes: Int
  private(set) var bytes = 0
  private var entries: [ReadKey: Entry] = [:]
  /// Kept the longest first; those replaced meanwhile have other numbers.
  private var order: Deque<(key: ReadKey, number: UInt64)> = []
  private var next: UInt64 = 0
  /// Those that wait for each fetch, by their numbers.
  private var fetches: [ReadKey: [UInt64]] = [:]

  init(maxBytes: Int, maxAnswerBytes: Int) {
    self.maxBytes = maxBytes
    self.maxAnswerBytes = maxAnswerBytes
  }

  var count: Int { entries.count }

  /// - Parameter waiter: whom to wake if it is to wait.
  mutating func ask(
    _ key: ReadKey, _ policy: ReadPolicy, _ waiter: @autoclosure () -> UInt64, _ now: NIODeadline
  ) -> Decision {
    if let entry = entries[key] {
      let age = now - entry.at
      if age < policy.fresh { return .fresh(entry.answer) }
      if age < policy.fresh + policy.stale {
        if fetches[key] != nil { return .stale(entry.answer, fetches: false) }
        fetches[key] = []
        return .stale(entry.answer, fetches: true)
      }
    }
    guard fetches[key] != nil else {
      fetches[key] = []
      return .fetch
    }
    fetches[key]?.append(waiter())
    return .wait
  }

  /// Returns those to wake with the ending, and the one that is to fetch instead.
  mutating func ended(
    _ key: ReadKey, _ ending: Ending, _ now: NIODeadline
  ) -> (woken: [UInt64], successor: UInt64?) {
    var waiting = fetches.removeValue(forKey: key) ?? []
    if case .answered(let answer) = ending { keep(answer, for: key, now) }
    guard case .abandoned = ending, !waiting.isEmpty else { return (waiting, nil) }
    let successor = waiting.removeFirst()
    fetches[key] = waiting
    return ([], successor)
  }

  /// A waiter went away; false if it has been woken already.
  mutating func leave(_ key: ReadKey, _ waiter: UInt64) -> Bool {
    guard let index = fetches[key]?.firstIndex(of: waiter) else { return false }
    fetches[key]?.remove(at: index)
    return true
  }

  private mutating func keep(_ answer: ReadAnswer, for key: ReadKey, _ now: NIODeadline) {
    drop(key)
    // The strings and tables of an entry come to about as much again for small ones.
    let size =
      answer.message.readableBytes + key.request.readableBytes + key.path.utf8.count + key.audience.utf8.count
      + 256
    guard size <= maxAnswerBytes else { return }
    next += 1
    entries[key] = Entry(answer: answer, at: now, number: next, bytes: size)
    order.append((key, next))
    bytes += size
    while bytes > maxBytes || order.count > 2 * entries.count + 16, let oldest = order.popFirst() {
      if entries[oldest.key]?.number == oldest.number { drop(oldest.key) }
    }
  }

  private mutating func drop(_ key: ReadKey) {
    if let entry = entries.removeValue(forKey: key) { bytes -= entry.bytes }
  }
}
