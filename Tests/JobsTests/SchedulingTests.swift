import Testing

@testable import Jobs
@testable import Postgres

@Suite("How a worker divides and finds its work")
struct DivisionTests {
  private let start = ContinuousClock.now

  private func fetched(
    _ shares: inout FairShare, _ lanes: [Int], most: Int, share: Int, isHeldBack: Bool = false
  ) -> Bool {
    shares.fetched(lanes, most: most, share: share, isHeldBack: isHeldBack)
  }

  private func look(
    _ floors: inout ScanFloors<Int>, after time: Duration
  ) -> (floors: [Int], depth: ScanFloors<Int>.Depth) {
    floors.floors(start + time)
  }

  @Test("Without knowing better, one lane may have everything; with several, each has its share")
  func shares() {
    var shares = FairShare()
    #expect(shares.share(of: 100) == 100)
    #expect(fetched(&shares, Array(repeating: 3, count: 100), most: 100, share: 100))
    #expect(shares.firstLane == 4)
    #expect(fetched(&shares, Array(repeating: 9, count: 100), most: 100, share: 100))
    #expect(shares.firstLane == 10)
    #expect(shares.share(of: 100) == 50)
    #expect(shares.share(of: 1) == 1)
  }

  @Test("When the queue's limits cut a fetch short, the lanes behind come first the next time")
  func heldBack() {
    var shares = FairShare()
    #expect(fetched(&shares, [3], most: 100, share: 100, isHeldBack: true))
    #expect(shares.firstLane == 4)
    // Nobody has had a turn.
    #expect(fetched(&shares, [], most: 100, share: 100, isHeldBack: true))
    #expect(shares.firstLane == 4)
  }

  @Test("A lane that gave its whole share may have more, though the batch was not full")
  func more() {
    var shares = FairShare()
    #expect(fetched(&shares, [1, 1, 2], most: 10, share: 2))
    #expect(!fetched(&shares, [1, 2, 3], most: 10, share: 2))
    #expect(!fetched(&shares, [], most: 10, share: 2))
    #expect(!fetched(&shares, [64], most: 10, share: 2))
  }

  @Test("A batch is run by priority, and lanes take turns in it")
  func arrange() {
    func job(_ seq: Int64, priority: Int, lane: Int) -> FetchedJob {
      FetchedJob(
        id: UUID(high: 0, low: UInt64(seq)), attempt: 1, failed: 0, maxAttempts: 1, kind: "", tenant: nil,
        limitKey: nil, priority: priority, lane: lane, seq: seq, waited: .zero, payload: PostgresJSON("{}"))
    }
    var jobs = [
      job(1, priority: 2, lane: 5), job(2, priority: 2, lane: 5), job(3, priority: 2, lane: 5),
      job(7, priority: 2, lane: 6), job(9, priority: 0, lane: 6), job(8, priority: 2, lane: 6),
      job(6, priority: 2, lane: 64),
    ]
    jobs.shuffle()
    FairShare.arrange(&jobs)
    #expect(jobs.map(\.seq) == [9, 1, 6, 7, 2, 8, 3])
  }

  @Test(
    "Looks begin where the last left off, a little later; now and then further left, and at the very left")
  func floors() {
    var floors = ScanFloors(count: 2, start: 0, now: start)
    var first = floors.floors(start)
    #expect(first.depth == .whole)
    #expect(first.floors == [0, 0])
    floors.looked(.whole, took: .milliseconds(1), start)
    floors.taken(0, upTo: 100)
    floors.taken(0, upTo: 50)
    // Too fresh to be relied on.
    #expect(look(&floors, after: .milliseconds(100)).floors == [0, 0])
    #expect(look(&floors, after: .milliseconds(250)).floors == [0, 0])
    #expect(look(&floors, after: .milliseconds(500)).floors == [100, 0])
    #expect(look(&floors, after: .milliseconds(500)).depth == .recent)
    first = floors.floors(start + .seconds(1))
    #expect(first.depth == .aged)
    #expect(first.floors == [0, 0])
    floors.looked(.aged, took: .milliseconds(1), start + .seconds(1))
    #expect(look(&floors, after: .milliseconds(1500)).depth == .recent)
    #expect(look(&floors, after: .seconds(10)).depth == .whole)
    // One that is expensive is not taken soon again.
    floors.looked(.whole, took: .seconds(2), start + .seconds(10))
    #expect(look(&floors, after: .seconds(100)).depth == .aged)
    #expect(look(&floors, after: .seconds(111)).depth == .whole)
  }

  @Test("As many jobs are fetched ahead as get done in the time of a fetch")
  func prefetch() {
    var prefetch = Prefetch(limit: 500, now: start)
    #expect(prefetch.size == 0)
    for step in 1...20 {
      for _ in 0..<100 { prefetch.finished() }
      prefetch.measure(start + .milliseconds(10) * step)
    }
    #expect(prefetch.size > 190)
    #expect(prefetch.size <= 200)
    // The longer a fetch takes, the more is needed to bridge it.
    for _ in 0..<50 { prefetch.answered(after: .milliseconds(25)) }
    for _ in 0..<100 { prefetch.finished() }
    prefetch.measure(start + .milliseconds(210))
    #expect(450...500 ~= prefetch.size)
    // Slow ones are left to others.
    for step in 1...20 { prefetch.measure(start + .seconds(step)) }
    #expect(prefetch.size == 0)
    for _ in 0..<1_000_000 { prefetch.finished() }
    prefetch.measure(start + .seconds(21))
    #expect(prefetch.size == 500)
  }
}

@Suite("When to say that a worker lives")
struct PulseTests {
  private let start = ContinuousClock.now

  @Test("Before a worker is silent it has tried several times, and each try has longer than the one before")
  func tries() {
    var pulse = Pulse(settings: WorkerSettings(), now: start)
    var now = start
    var patiences: [Duration] = []
    while !pulse.isSilent(now + pulse.pause) {
      now += pulse.pause
      patiences.append(pulse.patience(now))
      now += pulse.patience(now)
      pulse.failed()
    }
    #expect(patiences == [.milliseconds(2500), .seconds(5), .milliseconds(1250)])
    #expect(now <= start + WorkerSettings().silence)
  }

  @Test("One that was heard starts all over, from when it was sent")
  func heard() {
    var pulse = Pulse(settings: WorkerSettings(), now: start)
    pulse.failed()
    #expect(pulse.pause == .milliseconds(625))
    pulse.heard(sentAt: start + .seconds(10))
    #expect(pulse.pause == .seconds(5))
    #expect(pulse.patience(start + .seconds(15)) == .milliseconds(2500))
    #expect(!pulse.isSilent(start + .milliseconds(24_999)))
    #expect(pulse.isSilent(start + .seconds(25)))
    #expect(pulse.patience(start + .seconds(26)) == .zero)
  }
}

@Suite("Who is dead")
struct BeatWatchTests {
  private let start = ContinuousClock.now

  /// What the watch says at each second, given the beats of workers 1 and 2.
  private func buried(
    leases: [Int] = [20, 20], _ beats: [(second: Int, beats: [Int64])]
  ) -> [[Int64]] {
    var watch = BeatWatch(pause: .seconds(5))
    return beats.map { second, beats in
      let workers = zip(beats, leases).enumerated().map { index, worker in
        WatchedWorker(worker: Int64(index + 1), beat: worker.0, lease: .seconds(worker.1))
      }
      return watch.observe(workers, start + .seconds(second)).map(\.worker)
    }
  }

  @Test("A worker whose beat stands still for a lease is dead, and not before")
  func still() {
    #expect(buried([(0, [5]), (5, [5]), (10, [5]), (15, [5]), (20, [5])]) == [[], [], [], [], [1]])
    #expect(buried([(0, [5]), (5, [5]), (10, [5]), (15, [6]), (20, [6])]) == [[], [], [], [], []])
    #expect(buried([(0, [5, 1]), (5, [6, 1]), (10, [7, 1]), (15, [8, 1]), (20, [9, 1])]).last == [2])
  }

  @Test("Each worker is judged by its own lease")
  func leases() {
    let seconds = (0...20).map { (second: $0, beats: [Int64(5), 5]) }
    let buried = buried(leases: [20, 4], seconds)
    #expect(buried[0...3].allSatisfy { $0.isEmpty })
    #expect(buried[4...19].allSatisfy { $0 == [2] })
    #expect(buried[20] == [1, 2])
  }

  @Test("Who has a long lease looks often enough to judge those with a short one")
  func looks() {
    var watch = BeatWatch(pause: .seconds(5))
    #expect(watch.untilNext == .seconds(5))
    var workers = [
      WatchedWorker(worker: 1, beat: 1, lease: .seconds(20)),
      WatchedWorker(worker: 2, beat: 1, lease: .seconds(2)),
    ]
    _ = watch.observe(workers, start)
    #expect(watch.untilNext == .milliseconds(500))
    workers[1].lease = .seconds(600)
    _ = watch.observe(workers, start)
    #expect(watch.untilNext == .seconds(5))
  }

  @Test("A look that comes late for one worker's lease counts for those with a longer one")
  func late() {
    let seconds = [
      (second: 0, beats: [Int64(5), 5]), (4, [5, 5]), (8, [5, 5]), (12, [5, 5]), (20, [5, 5]),
    ]
    #expect(buried(leases: [20, 4], seconds) == [[], [], [], [], [1]])
  }

  @Test("Whoever could not look for long gives everybody another lease")
  func outage() {
    #expect(
      buried([(0, [5]), (5, [5]), (60, [5]), (65, [5]), (70, [5]), (75, [5]), (80, [5])])
        == [[], [], [], [], [], [], [1]])
  }
}

@Suite("What failures mean")
struct OutcomeTests {
  private static let job = FetchedJob(
    id: UUID(high: 0, low: 1), attempt: 3, failed: 2, maxAttempts: 5, kind: "note", tenant: nil,
    limitKey: nil,
    priority: 2, lane: 0, seq: 1, waited: .zero, payload: PostgresJSON("{}"))

  private struct Trouble: Error, CustomStringConvertible { var description: String { "no luck\0" } }

  private func outcome(_ error: any Error, stop: StopReason? = nil) -> JobOutcome {
    var random = SystemRandomNumberGenerator()
    return JobOutcome(error, stop: stop, job: Self.job, options: JobOptions(), random: &random)
  }

  @Test("An error says what is to be done, and any other is tried again")
  func errors() {
    #expect(outcome(JobError.permanent(code: "C", message: "m")) == .dead(Failure(code: "C", message: "m")))
    #expect(outcome(JobError.snooze(for: .seconds(5))) == .snoozed(.seconds(5)))
    #expect(
      outcome(JobError.retry(after: .seconds(9), code: "BUSY", message: "m"))
        == .failed(Failure(code: "BUSY", message: "m"), retryAfter: .seconds(9)))
    guard case .failed(let failure, let delay) = outcome(Trouble()) else {
      Issue.record("it did not fail")
      return
    }
    // What it says was not written for whoever the job is done for.
    #expect(failure == Failure(code: "Trouble", message: "no luck\u{FFFD}", isTold: false))
    #expect(.zero ... .seconds(8) ~= delay)
  }

  @Test("Why a job was stopped weighs more than what it throws")
  func stops() {
    #expect(outcome(CancellationError(), stop: .cancelled) == .cancelled)
    #expect(outcome(JobError.permanent(code: "C", message: "m"), stop: .shutdown) == .snoozed(.zero))
    #expect(outcome(Trouble(), stop: .lost) == .dropped)
    guard case .failed(let failure, _) = outcome(CancellationError(), stop: .timeout) else {
      Issue.record("it did not fail")
      return
    }
    #expect(failure.code == "TIMEOUT")
    guard case .failed = outcome(CancellationError()) else {
      Issue.record("nobody cancelled it")
      return
    }
  }

  @Test("Rests grow with every failure up to the cap, and are spread over their whole length")
  func rests() {
    var random = SystemRandomNumberGenerator()
    let policy = RetryPolicy(base: .seconds(2), cap: .seconds(60))
    for (failures, most) in [(1, 2), (2, 4), (3, 8), (5, 32), (6, 60), (40, 60), (1_000_000, 60)] {
      let delays = (0..<200).map { _ in policy.delay(afterFailures: failures, using: &random) }
      #expect(delays.allSatisfy { .zero ... .seconds(most) ~= $0 })
      #expect(delays.contains { $0 < .seconds(most) / 3 })
      #expect(delays.contains { $0 > .seconds(most) * 2 / 3 })
    }
  }
}
