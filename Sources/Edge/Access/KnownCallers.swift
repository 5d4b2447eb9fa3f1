import DequeModule
import NIOCore
import RPC

/// Who is behind the credentials that were exchanged, for as long as that may be relied on. Values in, values out: the
/// clock and the talking are `Callers`'.
///
/// What is known here counts only while revocations are heard of. Identity says at least once a second that there are
/// none; after three seconds of silence nothing counts, so that a revocation takes effect within five even when we are
/// cut off from who would tell us.
struct KnownCallers {
  struct Limits: Sendable {
    var callers = 20_000
    /// Credentials that were refused.
    var refused = 10_000
    var refusedFor: TimeAmount = .seconds(10)
    /// How long revocations may be silent.
    var silence: TimeAmount = .seconds(3)
    /// Revocations that are remembered for exchanges under way, and for how long: longer than an exchange takes.
    var revocations = 10_000
    var revocationsFor: TimeAmount = .seconds(15)

    init() {}
  }

  enum Finding {
    /// - Parameter isOld: it should be exchanged again before it ends.
    case caller(Caller, isOld: Bool)
    case refused(RPCError)
    case unknown
  }

  /// When an exchange began, and what was known then.
  struct Ticket: Sendable {
    fileprivate let began: NIODeadline
    /// Nil when revocations were not heard of: then one may have been missed.
    fileprivate let epoch: Int?
  }

  private struct Entry {
    let caller: Caller
    let serial: Int
    let refreshAt: NIODeadline
    let expiresAt: NIODeadline
  }

  let limits: Limits
  private var entries: [CredentialDigest: Entry] = [:]
  /// In the order in which they came. What was replaced or removed since stands there still, until its turn comes.
  private var order: Deque<(digest: CredentialDigest, serial: Int)> = []
  private var nextSerial = 0
  private var byRevocationID: [String: Set<CredentialDigest>] = [:]
  private var refused: [CredentialDigest: (error: RPCError, until: NIODeadline)] = [:]
  private var refusedOrder: Deque<CredentialDigest> = []
  private var revoked: [String: NIODeadline] = [:]
  private var revokedOrder: Deque<String> = []
  private(set) var heardAt: NIODeadline?
  /// Grows when revocations may have been missed.
  private var epoch = 0

  init(limits: Limits = Limits()) {
    self.limits = limits
  }

  var count: Int { entries.count }
  var refusedCount: Int { refused.count }

  /// Whether what is known counts.
  func isHearing(_ now: NIODeadline) -> Bool {
    heardAt.map { now - $0 <= limits.silence } ?? false
  }

  mutating func find(_ digest: CredentialDigest, now: NIODeadline) -> Finding {
    if let (error, until) = refused[digest] {
      if now < until { return .refused(error) }
      refused[digest] = nil
    }
    guard isHearing(now), let entry = entries[digest] else { return .unknown }
    guard now < entry.expiresAt else {
      remove(digest)
      return .unknown
    }
    return .caller(entry.caller, isOld: entry.refreshAt <= now)
  }

  // MARK: Exchanges

  func ticket(now: NIODeadline) -> Ticket {
    Ticket(began: now, epoch: isHearing(now) ? epoch : nil)
  }

  /// Remembers what came of an exchange, unless it may have been overtaken by a revocation.
  /// - Parameter seconds: that the caller's principal lasts.
  mutating func learn(
    _ caller: Caller, of digest: CredentialDigest, lasting seconds: Int64, _ ticket: Ticket, now: NIODeadline
  ) {
    guard ticket.epoch == epoch, seconds > 0 else { return }
    let isOvertaken = caller.revocationIDs.contains { id in revoked[id].map { $0 >= ticket.began } ?? false }
    guard !isOvertaken else { return }
    remove(digest)
    refused[digest] = nil
    makeRoom(now)
    nextSerial += 1
    // It began to last before it came here.
    entries[digest] = Entry(
      caller: caller, serial: nextSerial, refreshAt: ticket.began + .seconds(seconds * 2 / 3),
      expiresAt: ticket.began + .seconds(seconds))
    order.append((digest, nextSerial))
    for id in caller.revocationIDs { byRevocationID[id, default: []].insert(digest) }
  }

  private mutating func makeRoom(_ now: NIODeadline) {
    while let oldest = order.first {
      let entry = entries[oldest.digest].flatMap { $0.serial == oldest.serial ? $0 : nil }
      if let entry, now < entry.expiresAt, entries.count < limits.callers, order.count < 4 * limits.callers {
        return
      }
      order.removeFirst()
      if entry != nil { remove(oldest.digest) }
    }
  }

  /// Remembers for a little while that identity does not know a credential, so that asking over and over costs nothing.
  mutating func learn(_ error: RPCError, of digest: CredentialDigest, now: NIODeadline) {
    remove(digest)
    while let oldest = refusedOrder.first,
      refusedOrder.count >= limits.refused || refused[oldest].map({ $0.until <= now }) ?? true
    {
      refused[refusedOrder.removeFirst()] = nil
    }
    if refused.updateValue((error, now + limits.refusedFor), forKey: digest) == nil {
      refusedOrder.append(digest)
    }
  }

  // MARK: Revocations

  /// Takes what identity says: these count no more, and all others do.
  mutating func hear(revoked ids: [String], isReset: Bool, now: NIODeadline) {
    heardAt = now
    if isReset { forgetAll() }
    for id in ids {
      for digest in byRevocationID[id] ?? [] { remove(digest) }
      if revoked.updateValue(now, forKey: id) == nil { revokedOrder.append(id) }
    }
    while let oldest = revokedOrder.first, let at = revoked[oldest], now - at > limits.revocationsFor {
      revoked[revokedOrder.removeFirst()] = nil
    }
    // More than can be remembered: exchanges under way count for the call they are made for and no other.
    guard revokedOrder.count > limits.revocations else { return }
    revoked.removeAll()
    revokedOrder.removeAll()
    epoch += 1
  }

  private mutating func forgetAll() {
    entries.removeAll()
    order.removeAll()
    byRevocationID.removeAll()
    epoch += 1
  }

  private mutating func remove(_ digest: CredentialDigest) {
    guard let entry = entries.removeValue(forKey: digest) else { return }
    for id in entry.caller.revocationIDs {
      byRevocationID[id]?.remove(digest)
      if byRevocationID[id]?.isEmpty == true { byRevocationID[id] = nil }
    }
  }
}
