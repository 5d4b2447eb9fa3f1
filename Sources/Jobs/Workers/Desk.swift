internal import DequeModule
internal import Postgres

/// What one worker has on hand of one queue, and what it does next about it: jobs fetched and not begun, places that
/// are busy, acknowledgements to be sent. A state machine: told what happens, it says what to do.
struct Desk {
  enum Plan {
    /// Send the acknowledgements, and take up to `fetch` jobs in the same breath.
    /// `mayTakeSuspect`: one of those that ran when their worker died may be among them.
    case send(worker: Int64, Acknowledgements, fetch: Int, mayTakeSuspect: Bool)
    case wait(until: ContinuousClock.Instant)
    /// Everything has been said.
    case stop
  }

  private let settings: QueueSettings
  /// In the order in which they came, and when each did.
  private var buffer: Deque<(job: FetchedJob, since: ContinuousClock.Instant)> = []
  private var running: Set<Run> = []
  /// Jobs here that ran when their worker died: one at a time, so that the one to blame stands out.
  private var suspects = 0
  private var acknowledgements = Acknowledgements()
  /// Those that are on their way.
  private var sent: [UUID] = []
  private var prefetch: Prefetch
  /// As whom to fetch; nil while the worker is on no list.
  private var worker: Int64?
  private(set) var isStopping = false
  private var giveUpAt = ContinuousClock.Instant.now + .seconds(1 << 40)

  /// A fetch is worth while.
  private var mayHaveMore = true
  /// A bell rang after the last fetch was sent.
  private var hasRung = false
  /// When to look though no bell has rung.
  private var nextPoll: ContinuousClock.Instant
  /// Not before this, after a failure.
  private var notBefore: ContinuousClock.Instant
  /// The queue's limits hold jobs back until one ends.
  private var isHeldBack = false
  /// A job may be here twice: as it was when the worker was lost, and fetched anew.
  private struct Run: Hashable {
    var job: UUID
    var attempt: Int32

    init(_ job: FetchedJob) { (self.job, attempt) = (job.id, job.attempt) }
  }

  /// How long an acknowledgement waits for company.
  static let linger = Duration.milliseconds(5)
  /// Jobs that have waited for a free place for so long are left for other workers.
  static let mostWait = Duration.seconds(1)

  init(settings: QueueSettings, now: ContinuousClock.Instant) {
    self.settings = settings
    prefetch = Prefetch(limit: settings.batch, now: now)
    (nextPoll, notBefore) = (now, now)
  }

  // MARK: Those who run jobs

  /// The next job to run, which is begun with this.
  mutating func next() -> FetchedJob? {
    guard let (job, _) = buffer.popFirst() else { return nil }
    running.insert(Run(job))
    return job
  }

  /// A job has ended. Returns whether the acknowledgement still counts.
  mutating func finish(_ job: FetchedJob, _ outcome: JobOutcome, _ now: ContinuousClock.Instant) -> Bool {
    running.remove(Run(job))
    prefetch.finished()
    if job.isSuspect { suspects -= 1 }
    guard job.worker == worker else { return false }
    acknowledgements.add(job, outcome, now)
    return true
  }

  /// How many jobs have been begun and have not ended.
  var busy: Int { running.count }

  /// Whether the job is still the worker's that took it.
  func isOurs(_ job: FetchedJob) -> Bool { job.worker == worker }

  /// Whether what has just happened may change the plan of whoever waits by it.
  var wantsPlan: Bool {
    acknowledgements.count == 1 || acknowledgements.count == settings.batch || isStopping
      || mayHaveMore && buffer.count * 2 <= prefetch.size
  }

  // MARK: Whoever talks to the database

  mutating func plan(_ now: ContinuousClock.Instant) -> Plan {
    guard let worker else {
      if isStopping, busy == 0 || now >= giveUpAt { return .stop }
      return .wait(until: now + .seconds(1))
    }
    if isStopping, busy == 0, acknowledgements.isEmpty { return .stop }
    if isStopping, now >= giveUpAt { return .stop }
    guard now >= notBefore else { return .wait(until: notBefore) }
    release(until: now - Self.mostWait, now)
    prefetch.measure(now)
    if now >= nextPoll || isHeldBack && !acknowledgements.isEmpty { mayHaveMore = true }
    let room = isStopping ? 0 : settings.concurrency + prefetch.size - buffer.count - busy
    let fetch = mayHaveMore ? max(0, min(settings.batch, room)) : 0
    let isFetchDue = fetch > 0 && buffer.count * 2 <= prefetch.size
    let flushAt = acknowledgements.since.map { $0 + Self.linger }
    let isFlushDue =
      acknowledgements.count >= settings.batch || isStopping && !acknowledgements.isEmpty
      || flushAt.map { $0 <= now } ?? false
    if isFetchDue || isFlushDue {
      if fetch > 0 { hasRung = false }
      sent = acknowledgements.jobs
      return .send(
        worker: worker, acknowledgements.take(), fetch: fetch, mayTakeSuspect: suspects == 0)
    }
    var until = isStopping ? min(giveUpAt, now + .seconds(1)) : max(nextPoll, now + .milliseconds(1))
    if mayHaveMore || room <= 0 { until = now + .seconds(1) }
    if let oldest = buffer.first { until = min(until, oldest.since + Self.mostWait) }
    if let flushAt { until = min(until, flushAt) }
    return .wait(until: until)
  }

  /// The request has been answered.
  mutating func answered(after duration: Duration) {
    sent = []
    prefetch.answered(after: duration)
  }

  /// The answer to a fetch.
  /// - Parameters:
  ///   - mayHaveMore: whether another might bring more.
  ///   - heldBack: the queue's limits allowed no more, for so long or, if zero, until a job ends.
  ///   - nextPoll: when to look again if not.
  ///   - worker: as whom they were fetched. If the worker is another by now, they are not its own.
  mutating func fetched(
    _ jobs: [FetchedJob], of worker: Int64, mayHaveMore: Bool, heldBack: Duration?,
    nextPoll: ContinuousClock.Instant,
    _ now: ContinuousClock.Instant
  ) {
    guard worker == self.worker else { return }
    buffer.append(contentsOf: jobs.lazy.map { ($0, now) })
    suspects += jobs.count { $0.isSuspect }
    self.mayHaveMore = mayHaveMore && heldBack == nil || hasRung
    isHeldBack = heldBack != nil
    self.nextPoll = nextPoll
    if let heldBack {
      // A job that ends on another worker is not heard of here.
      let pause = heldBack > .zero ? heldBack : .milliseconds(100)
      self.nextPoll = min(nextPoll, now + pause)
    }
    if isStopping { release(until: now, now) }
  }

  /// The request failed; what it was to tell is told again.
  mutating func failed(_ sent: Acknowledgements, of worker: Int64, retryAt: ContinuousClock.Instant) {
    self.sent = []
    if worker == self.worker { acknowledgements.restore(sent) }
    mayHaveMore = true
    notBefore = retryAt
  }

  // MARK: Events

  /// There may be jobs.
  mutating func ring() {
    mayHaveMore = true
    hasRung = true
  }

  /// Somebody wants the job cancelled. Whether it was still here to be.
  mutating func cancel(_ id: UUID, _ now: ContinuousClock.Instant) -> Bool {
    guard let index = buffer.firstIndex(where: { $0.job.id == id }) else { return false }
    drop(buffer.remove(at: index).job, .cancelled, now)
    return true
  }

  /// The worker is on the list.
  mutating func enlisted(_ worker: Int64) {
    self.worker = worker
    mayHaveMore = true
  }

  /// The worker can be taken for dead, or has been. What it had not begun is not its own any more; what it can still say
  /// about the rest is returned, to be tried.
  mutating func lost() -> Acknowledgements {
    worker = nil
    suspects -= buffer.count { $0.job.isSuspect }
    buffer = []
    return acknowledgements.take()
  }

  /// Begins no more jobs and gives back those not begun.
  mutating func stop(giveUpAt: ContinuousClock.Instant, _ now: ContinuousClock.Instant) {
    isStopping = true
    self.giveUpAt = giveUpAt
    release(until: now, now)
  }

  /// The jobs that the database may think are run here.
  var known: [UUID] { buffer.map(\.job.id) + running.map(\.job) + acknowledgements.jobs + sent }

  /// Gives back what came no later than `last`.
  private mutating func release(until last: ContinuousClock.Instant, _ now: ContinuousClock.Instant) {
    while let oldest = buffer.first, oldest.since <= last {
      buffer.removeFirst()
      drop(oldest.job, .snoozed(.zero), now)
    }
  }

  private mutating func drop(_ job: FetchedJob, _ outcome: JobOutcome, _ now: ContinuousClock.Instant) {
    if job.isSuspect { suspects -= 1 }
    acknowledgements.add(job, outcome, now)
  }
}
