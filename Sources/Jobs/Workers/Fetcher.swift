internal import Postgres

/// Fetches jobs of one queue, and acknowledges others in the same round trip.
struct Fetcher {
  private let queue: String
  private let poll: Duration
  private var shares = FairShare()
  private var floors: ScanFloors<Int64>

  struct Answer {
    /// Acknowledgements that came too late.
    var refused: [UUID] = []
    var fetched: Fetched?
    /// The round trip.
    var took = Duration.zero
  }

  struct Fetched {
    var jobs: [FetchedJob] = []
    var mayHaveMore = false
    var heldBack: Duration?
    /// When to look again if nobody rings.
    var nextPoll: ContinuousClock.Instant
  }

  init(queue: String, poll: Duration, now: ContinuousClock.Instant) {
    self.queue = queue
    self.poll = poll
    floors = ScanFloors(count: 4 * FairShare.lanes, start: 0, now: now)
  }

  mutating func send(
    _ said: Acknowledgements, fetch most: Int, mayTakeSuspect: Bool, as worker: Int64,
    on postgres: PostgresClient
  ) async throws -> Answer {
    let finish = FinishJobs(worker: worker, jobs: said.finished, attempts: said.attempts)
    let settle = SettleJobs(worker: worker, settlements: said.settlements)
    guard most > 0 else {
      if said.count == 0 { return Answer() }
      if said.settlements.isEmpty { return Answer(refused: try await postgres.execute(finish, tenant: nil)) }
      let (late, later) = try await postgres.executeBatch(finish, settle, tenant: nil)
      return Answer(refused: late + later)
    }
    let now = ContinuousClock.now
    let share = shares.share(of: most)
    let (positions, depth) = floors.floors(now)
    let fetch = FetchJobs(
      worker: worker, queue: queue, most: most, share: share, firstLane: shares.firstLane, floors: positions,
      suspects: mayTakeSuspect ? 1 : 0)
    var refused: [UUID] = []
    var later: [UUID] = []
    let rows: [FetchedRow]
    switch (said.finished.isEmpty, said.settlements.isEmpty) {
    case (true, true): rows = try await postgres.execute(fetch, tenant: nil)
    case (false, true): (refused, rows) = try await postgres.executeBatch(finish, fetch, tenant: nil)
    default: (refused, later, rows) = try await postgres.executeBatch(finish, settle, fetch, tenant: nil)
    }
    let after = ContinuousClock.now
    floors.looked(depth, took: after - now, after)
    return Answer(
      refused: refused + later, fetched: sort(rows, worker, most: most, share: share, after),
      took: after - now)
  }

  private mutating func sort(
    _ rows: [FetchedRow], _ worker: Int64, most: Int, share: Int, _ now: ContinuousClock.Instant
  ) -> Fetched {
    var fetched = Fetched(nextPoll: now + poll * Double.random(in: 0.75...1))
    var lanes: [Int] = []
    var hasBlocked = false
    lanes.reserveCapacity(rows.count)
    fetched.jobs.reserveCapacity(rows.count)
    for row in rows {
      switch row {
      case .heldBack(let pause): fetched.heldBack = pause
      case .blocked(let job):
        hasBlocked = true
        note(job, &lanes)
      case .job(var job):
        note(job, &lanes)
        job.worker = worker
        fetched.jobs.append(job)
      }
    }
    fetched.mayHaveMore = shares.fetched(
      lanes, most: most, share: share, isHeldBack: fetched.heldBack != nil)
    // Those took places that the queue's limits allow to the jobs behind them: ask for these at once.
    if hasBlocked { fetched.heldBack = nil }
    FairShare.arrange(&fetched.jobs)
    return fetched
  }

  private mutating func note(_ job: FetchedJob, _ lanes: inout [Int]) {
    lanes.append(job.lane)
    guard job.lane < FairShare.lanes else { return }
    floors.taken(job.priority * FairShare.lanes + job.lane, upTo: job.seq + 1)
  }
}
