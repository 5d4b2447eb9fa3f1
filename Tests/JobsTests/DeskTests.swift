import Testing

@testable import Jobs
@testable import Postgres

@Suite("The desk of a queue")
struct DeskTests {
  private let start = ContinuousClock.now

  private static func job(_ number: Int, worker: Int64 = 1, limitKey: String? = nil) -> FetchedJob {
    FetchedJob(
      id: UUID(high: 0, low: UInt64(number)), attempt: 1, failed: 0, maxAttempts: 3, kind: "note",
      tenant: nil,
      limitKey: limitKey, priority: 2, lane: 0, seq: Int64(number), waited: .zero,
      payload: PostgresJSON("{}"),
      worker: worker)
  }

  private func desk(concurrency: Int = 2) -> Desk {
    var desk = Desk(settings: QueueSettings(concurrency: concurrency), now: start)
    desk.enlisted(1)
    return desk
  }

  /// How many jobs the plan fetches and how many acknowledgements it sends; nil if it waits or stops.
  private func sends(_ desk: inout Desk, at time: Duration = .zero) -> (fetch: Int, said: Acknowledgements)? {
    if case .send(_, let said, let fetch, _) = desk.plan(start + time) { return (fetch, said) }
    return nil
  }

  private func answer(
    _ desk: inout Desk, _ jobs: [FetchedJob], mayHaveMore: Bool = false, at time: Duration = .zero
  ) {
    desk.answered(after: .milliseconds(1))
    desk.fetched(
      jobs, of: 1, mayHaveMore: mayHaveMore, heldBack: nil, nextPoll: start + time + .seconds(1), start + time
    )
  }

  private func finish(_ desk: inout Desk, _ job: FetchedJob, _ outcome: JobOutcome) -> Bool {
    desk.finish(job, outcome, start)
  }

  private func next(_ desk: inout Desk) -> UUID? { desk.next()?.id }

  @Test("A worker that is on no list fetches nothing")
  func unlisted() {
    var desk = Desk(settings: QueueSettings(concurrency: 2), now: start)
    #expect(sends(&desk) == nil)
    desk.enlisted(1)
    #expect(sends(&desk)?.fetch == 2)
  }

  @Test("After an empty answer it waits until it is time to look, or a bell rings")
  func polls() {
    var desk = desk()
    #expect(sends(&desk)?.fetch == 2)
    answer(&desk, [])
    #expect(sends(&desk) == nil)
    #expect(sends(&desk, at: .milliseconds(999)) == nil)
    #expect(sends(&desk, at: .seconds(1))?.fetch == 2)
    answer(&desk, [], at: .seconds(1))
    desk.ring()
    #expect(sends(&desk, at: .seconds(1))?.fetch == 2)
  }

  @Test("A bell that rings while a fetch is under way is not forgotten")
  func ringsMeanwhile() {
    var desk = desk()
    _ = sends(&desk)
    desk.ring()
    answer(&desk, [])
    #expect(sends(&desk)?.fetch == 2)
  }

  @Test("Acknowledgements wait a moment for company, and no longer")
  func lingers() {
    var desk = desk()
    _ = sends(&desk)
    answer(&desk, [Self.job(1)])
    let job = desk.next()
    #expect(finish(&desk, Self.job(1), .succeeded))
    #expect(job != nil)
    #expect(sends(&desk) == nil)
    let sent = sends(&desk, at: Desk.linger)
    #expect(sent?.said.finished == [Self.job(1).id])
    #expect(sent?.fetch == 0)
  }

  @Test("With more to fetch they go along at once")
  func together() {
    var desk = desk()
    _ = sends(&desk)
    answer(&desk, [Self.job(1), Self.job(2)], mayHaveMore: true)
    _ = desk.next()
    #expect(finish(&desk, Self.job(1), .succeeded))
    // The other waits to be begun.
    #expect(sends(&desk) == nil)
    _ = desk.next()
    let sent = sends(&desk)
    #expect(sent?.fetch == 1)
    #expect(sent?.said.finished.count == 1)
  }

  @Test("What could not be said is said again, and marked as such")
  func repeats() {
    var desk = desk()
    _ = sends(&desk)
    answer(&desk, [Self.job(1)])
    _ = desk.next()
    #expect(finish(&desk, Self.job(1), .succeeded))
    guard let (_, said) = sends(&desk, at: Desk.linger) else {
      Issue.record("nothing was sent")
      return
    }
    #expect(desk.known == [Self.job(1).id])
    desk.failed(said, of: 1, retryAt: start + .seconds(1))
    #expect(sends(&desk, at: .milliseconds(500)) == nil)
    let again = sends(&desk, at: .seconds(1))
    #expect(again?.said.finished == [Self.job(1).id])
    #expect(again?.said.isRepeated == true)
  }

  @Test("A worker that is lost keeps no jobs, and what it says later about those it had is nobody's business")
  func lost() {
    var desk = desk()
    _ = sends(&desk)
    answer(&desk, [Self.job(1), Self.job(2), Self.job(3)])
    _ = desk.next()
    _ = desk.next()
    #expect(finish(&desk, Self.job(1), .succeeded))
    let unsaid = desk.lost()
    #expect(unsaid.finished == [Self.job(1).id])
    #expect(next(&desk) == nil)
    desk.enlisted(2)
    #expect(!finish(&desk, Self.job(2), .succeeded))
    #expect(sends(&desk, at: Desk.linger)?.said.count == 0)
    #expect(desk.known.isEmpty)
  }

  @Test(
    "Jobs that wait for a free place too long are left to other workers, though others are begun meanwhile")
  func stuck() {
    var desk = desk(concurrency: 1)
    _ = sends(&desk)
    answer(&desk, [Self.job(1), Self.job(2), Self.job(3)])
    _ = desk.next()
    #expect(finish(&desk, Self.job(1), .completed))
    answer(&desk, [Self.job(4)], at: .milliseconds(500))
    _ = desk.next()
    guard case .wait(let until) = desk.plan(start + .milliseconds(900)) else {
      Issue.record("it does not wait")
      return
    }
    #expect(until == start + Desk.mostWait)
    _ = desk.plan(start + Desk.mostWait)
    let sent = sends(&desk, at: Desk.mostWait + Desk.linger)
    #expect(sent?.said.settlements.map(\.job) == [Self.job(3).id])
    #expect(sent?.said.settlements.map(\.outcome) == [.snooze])
    desk.answered(after: .milliseconds(1))
    // The one that came later has its time, too.
    #expect(desk.known == [Self.job(4).id, Self.job(2).id])
  }

  @Test("A job is known from when it is fetched until what became of it has been said")
  func known() {
    var desk = desk(concurrency: 1)
    _ = sends(&desk)
    answer(&desk, [Self.job(1)])
    #expect(desk.known == [Self.job(1).id])
    _ = desk.next()
    #expect(desk.known == [Self.job(1).id])
    #expect(finish(&desk, Self.job(1), .succeeded))
    #expect(desk.known == [Self.job(1).id])
    _ = sends(&desk, at: Desk.linger)
    #expect(desk.known == [Self.job(1).id])
    desk.answered(after: .milliseconds(1))
    #expect(desk.known.isEmpty)
  }

  @Test("A job that was lost while it ran and comes back is here twice, and each ends by itself")
  func twice() {
    var desk = desk()
    _ = sends(&desk)
    answer(&desk, [Self.job(1)])
    _ = desk.next()
    _ = desk.lost()
    desk.enlisted(2)
    var again = Self.job(1, worker: 2)
    again.attempt = 2
    desk.fetched(
      [again], of: 2, mayHaveMore: false, heldBack: nil, nextPoll: start + .seconds(1), start)
    _ = desk.next()
    #expect(desk.busy == 2)
    #expect(!finish(&desk, Self.job(1), .dropped))
    #expect(desk.busy == 1)
    #expect(desk.known == [Self.job(1).id])
    #expect(finish(&desk, again, .succeeded))
    #expect(desk.busy == 0)
  }

  @Test("At its end it begins nothing, gives back what it has not begun, and stops when all is said")
  func stops() {
    var desk = desk(concurrency: 1)
    _ = sends(&desk)
    answer(&desk, [Self.job(1), Self.job(2)])
    _ = desk.next()
    desk.stop(giveUpAt: start + .seconds(60), start)
    #expect(next(&desk) == nil)
    #expect(sends(&desk)?.said.settlements.map(\.job) == [Self.job(2).id])
    desk.answered(after: .milliseconds(1))
    #expect(sends(&desk) == nil)
    #expect(finish(&desk, Self.job(1), .succeeded))
    #expect(sends(&desk)?.said.finished == [Self.job(1).id])
    guard case .stop = desk.plan(start) else {
      Issue.record("it goes on")
      return
    }
  }

  @Test("It does not wait for ever for a database that does not come back")
  func givesUp() {
    var desk = desk()
    _ = sends(&desk)
    answer(&desk, [Self.job(1)])
    desk.stop(giveUpAt: start + .seconds(10), start)
    guard let (_, said) = sends(&desk) else {
      Issue.record("nothing was sent")
      return
    }
    desk.failed(said, of: 1, retryAt: start + .seconds(1))
    guard case .stop = desk.plan(start + .seconds(10)) else {
      Issue.record("it goes on")
      return
    }
  }

  @Test("The end of a job that was acknowledged in its own transaction makes room for others with its key")
  func completed() {
    var desk = desk()
    _ = sends(&desk)
    let job = Self.job(1, limitKey: "k")
    answer(&desk, [job])
    _ = desk.next()
    #expect(finish(&desk, job, .completed))
    let sent = sends(&desk, at: Desk.linger)
    #expect(sent?.said.count == 0)
    #expect(sent?.said.limitKeys == ["k": 1])
  }
}
