import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import Postgres
@testable import StoreSvc

/// `mainstreet.jobs.v1.JobsService`, as StoreSvc serves it.
@Suite("Administering jobs")
struct JobsAdminTests {
  private static let own = CallOptions(metadata: TestHouse.principal())
  private static let stranger = CallOptions(metadata: TestHouse.principal(TestHouse.stranger))
  private static let platform = CallOptions(metadata: TestHouse.principal(role: "platform_admin"))
  private static let other = TestHouse.stranger

  // MARK: Queues

  @Test("Queues are listed with what is in them and what limits them, empty ones too")
  func queues() async throws {
    try await TestHouse.with(works: false) { house in
      func queues() async throws -> [JobQueue] {
        try await house.admin.listQueues(ListQueuesRequest(), options: Self.platform).message.queues
      }
      #expect(try await queues() == [JobQueue(queue: "reports")])
      _ = try await house.trigger()
      _ = try await house.dead("a")
      _ = try await house.add("b")
      try await house.limit(Chore.queue, running: 2, perSecond: 10, burst: 5)
      let found = try await queues()
      #expect(found.map(\.queue) == ["chores", "reports"])
      #expect(found[0].maxRunning == 2 && found[0].ratePerSecond == 10 && found[0].burst == 5)
      #expect(found[0].counts.map(\.state) == [.ready, .dead] && found[0].counts.map(\.jobs) == [1, 1])
      #expect(found[1].maxRunning == nil && found[1].counts.map(\.jobs) == [1])
      #expect(found[1].counts.allSatisfy { $0.oldestSeconds >= 0 })
    }
  }

  @Test("Nothing is taken from a paused queue until it is resumed")
  func pause() async throws {
    try await TestHouse.with(works: false) { house in
      _ = try await house.trigger()
      let hand = try await ReportHand(house)
      let paused = try await house.admin.pauseQueue(
        PauseQueueRequest(queue: "reports"), options: Self.platform)
      #expect(paused.message.isPaused && paused.message.counts.map(\.state) == [.ready])
      #expect(try await hand.take().isEmpty)
      let resumed = try await house.admin.resumeQueue(
        ResumeQueueRequest(queue: "reports"), options: Self.platform)
      #expect(!resumed.message.isPaused)
      #expect(try await hand.take().count == 1)
      try await expectReason("QUEUE_NOT_FOUND") {
        try await house.admin.pauseQueue(PauseQueueRequest(queue: "report"), options: Self.platform)
      }
      try await expectReason("QUEUE_NOT_FOUND") {
        try await house.admin.resumeQueue(ResumeQueueRequest(queue: "report"), options: Self.platform)
      }
      let fields = try await violations {
        try await house.admin.pauseQueue(PauseQueueRequest(), options: Self.platform)
      }
      #expect(fields == ["queue"])
    }
  }

  @Test("What concerns all tenants is no tenant's, and jobs are only its owner's and admin's")
  func roles() async throws {
    try await TestHouse.with(works: false) { house in
      for role in ["owner", "admin", "staff"] {
        let options = CallOptions(metadata: TestHouse.principal(role: role))
        try await expectReason("PERMISSION_DENIED") {
          try await house.admin.listQueues(ListQueuesRequest(), options: options)
        }
        try await expectReason("PERMISSION_DENIED") {
          try await house.admin.pauseQueue(PauseQueueRequest(queue: "reports"), options: options)
        }
        try await expectReason("PERMISSION_DENIED") {
          try await house.admin.resumeQueue(ResumeQueueRequest(queue: "reports"), options: options)
        }
        try await expectReason("PERMISSION_DENIED") {
          try await house.admin.listCrons(ListCronsRequest(), options: options)
        }
        try await expectReason("PERMISSION_DENIED") {
          try await house.admin.pauseCron(PauseCronRequest(name: "x"), options: options)
        }
        try await expectReason("PERMISSION_DENIED") {
          try await house.admin.resumeCron(ResumeCronRequest(name: "x"), options: options)
        }
        let refused = role == "staff" ? "PERMISSION_DENIED" : nil
        #expect(
          try await reason {
            try await house.admin.listDeadJobs(ListDeadJobsRequest(), options: options)
          } == refused)
      }
    }
  }

  // MARK: One job

  @Test("A job tells where it is, how far, and what went wrong before; to its tenant and the platform")
  func get() async throws {
    try await TestHouse.with(works: false) { house in
      let id = try await house.add("a")
      let request = GetJobRequest(jobId: "\(id)")
      func get(_ options: CallOptions = Self.own) async throws -> Job {
        try await house.admin.getJob(request, options: options).message
      }
      let ready = try await get()
      #expect(
        ready.state == .ready && ready.queue == "chores" && ready.kind == "chore" && ready.attempts == 0)
      #expect(ready.tenantId == "\(TestHouse.tenant)" && ready.runAt != nil && ready.startedAt == nil)
      let hand = try await ReportHand(house)
      let first = try #require(try await hand.take(from: Chore.queue).first)
      try await hand.fail(first, "SHAKY", isDead: false)
      let second = try #require(try await hand.take(from: Chore.queue).first)
      try await hand.report(0.5, of: second)
      let running = try await get()
      #expect(running.state == .running && running.progress == 0.5 && running.attempts == 2)
      #expect(running.failures.map(\.code) == ["SHAKY"] && running.failures[0].attempt == 1)
      #expect(running.failures[0].message == "it was shaky" && running.failures[0].at != nil)
      try await hand.finish(second)
      let done = try await get(Self.platform)
      #expect(done.state == .succeeded && done.progress == 1 && done.finishedAt != nil)

      try await expectReason("JOB_NOT_FOUND") { try await get(Self.stranger) }
      let fields = try await violations {
        try await house.admin.getJob(GetJobRequest(jobId: "7"), options: Self.own)
      }
      #expect(fields == ["job_id"])
    }
  }

  @Test("A job that waits is called off at once, and of one that runs the worker is told")
  func cancel() async throws {
    try await TestHouse.with(works: false) { house in
      func cancel(_ id: UUID, _ options: CallOptions = Self.own) async throws -> CancelOutcome {
        try await house.admin.cancelJob(CancelJobRequest(jobId: "\(id)"), options: options).message.outcome
      }
      let running = try await house.add("runs")
      _ = try await ReportHand(house).take(from: Chore.queue)
      let waiting = try await house.add("waits")
      try await expectReason("JOB_NOT_FOUND") { try await cancel(waiting, Self.stranger) }
      #expect(try await cancel(waiting) == .cancelled)
      #expect(try await cancel(waiting) == .finished)
      #expect(try await cancel(running, Self.platform) == .requested)
      let job = try await house.admin.getJob(GetJobRequest(jobId: "\(running)"), options: Self.own).message
      #expect(job.isCancelRequested)
    }
  }

  @Test("What went wrong inside the service is told to those who run it, and nobody else")
  func failures() async throws {
    try await TestHouse.with(works: false) { house in
      let secret = #"relation "polls" of 10.0.0.7 violates a constraint"#
      let job = try await house.add("a")
      let hand = try await ReportHand(house)
      let run = try #require(try await hand.take(from: Chore.queue).first)
      try await hand.fail(run, "PostgresError", saying: secret, isDead: true)
      func get(_ options: CallOptions) async throws -> [String] {
        let request = GetJobRequest(jobId: "\(job)")
        return try await house.admin.getJob(request, options: options).message.failures.map(\.message)
      }
      func list(_ options: CallOptions) async throws -> [String] {
        let page = try await house.admin.listDeadJobs(ListDeadJobsRequest(), options: options).message
        return page.jobs.flatMap { $0.failures.map(\.message) }
      }
      let untold = "the job failed for a reason inside the service"
      #expect(try await get(Self.own) == [untold])
      #expect(try await list(Self.own) == [untold])
      #expect(try await get(Self.platform) == [secret])
      #expect(try await list(Self.platform) == [secret])
    }
  }

  // MARK: Dead jobs

  @Test("Dead jobs are grouped by kind and error, each tenant's for itself")
  func groups() async throws {
    try await TestHouse.with(works: false) { house in
      for what in ["a", "b"] { _ = try await house.dead(what) }
      _ = try await house.dead("c", "LOST")
      _ = try await house.dead("d", tenant: Self.other)
      _ = try await house.dead("e", tenant: nil)
      func groups(_ options: CallOptions, _ filter: DeadJobFilter? = nil) async throws -> [String] {
        let request = ListDeadJobGroupsRequest(filter: filter)
        return try await house.admin.listDeadJobGroups(request, options: options).message.groups.map {
          "\($0.kind) \($0.errorCode) \($0.jobs)"
        }
      }
      #expect(try await groups(Self.own) == ["chore BROKEN 2", "chore LOST 1"])
      #expect(try await groups(Self.own, DeadJobFilter(errorCode: "LOST")) == ["chore LOST 1"])
      #expect(try await groups(Self.own, DeadJobFilter(kind: "errand")) == [])
      #expect(try await groups(Self.stranger) == ["chore BROKEN 1"])
      #expect(try await groups(Self.platform) == ["chore BROKEN 4", "chore LOST 1"])
      let ofOther = DeadJobFilter(tenantId: "\(Self.other)")
      #expect(try await groups(Self.platform, ofOther) == ["chore BROKEN 1"])
    }
  }

  @Test("Pages of dead jobs follow each other in the order they died, and show nobody another's payload")
  func list() async throws {
    try await TestHouse.with(works: false) { house in
      var ids: [String] = []
      for number in 0..<5 {
        ids.append("\(try await house.dead("mine \(number)"))")
        _ = try await house.dead("theirs \(number)", tenant: Self.other)
      }
      var listed: [DeadJob] = []
      var request = ListDeadJobsRequest(limit: 2)
      var pages = 0
      while true {
        let page = try await house.admin.listDeadJobs(request, options: Self.own).message
        #expect(page.jobs.count <= 2)
        listed += page.jobs
        pages += 1
        guard let next = page.nextCursor else { break }
        request.cursor = next
      }
      #expect(pages == 3 && listed.map(\.jobId) == ids)
      #expect(listed.map(\.payload) == (0..<5).map { #"{"what": "mine \#($0)"}"# })
      #expect(listed.allSatisfy { $0.tenantId == "\(TestHouse.tenant)" && $0.attempts == 1 })
      #expect(listed[0].failures.map(\.message) == ["it was broken"])

      func all(_ filter: DeadJobFilter? = nil, _ options: CallOptions) async throws -> [DeadJob] {
        let request = ListDeadJobsRequest(filter: filter)
        return try await house.admin.listDeadJobs(request, options: options).message.jobs
      }
      let byID = DeadJobFilter(jobIds: [ids[3], ids[1]])
      #expect(try await all(byID, Self.own).map(\.jobId) == [ids[1], ids[3]])
      #expect(try await all(byID, Self.stranger).isEmpty)
      #expect(try await all(nil, Self.stranger).count == 5)
      #expect(try await all(nil, Self.platform).count == 10)
      let since = DeadJobFilter(diedFrom: listed[1].diedAt, diedBefore: listed[3].diedAt)
      #expect(try await all(since, Self.own).map(\.jobId) == [ids[1], ids[2]])
    }
  }

  @Test(
    "What is asked of dead jobs amiss is refused by the name of the field",
    arguments: [
      (ListDeadJobsRequest(limit: 101), "limit"), (ListDeadJobsRequest(cursor: "d1-0-0"), "cursor"),
      (ListDeadJobsRequest(filter: DeadJobFilter(jobIds: ["7"])), "filter.job_ids[0]"),
      (ListDeadJobsRequest(filter: DeadJobFilter(kind: "")), "filter.kind"),
      (
        ListDeadJobsRequest(filter: DeadJobFilter(diedFrom: Timestamp(seconds: -1, nanos: 0))),
        "filter.died_from"
      ),
      (
        ListDeadJobsRequest(filter: DeadJobFilter(tenantId: "\(TestHouse.stranger)")), "filter.tenant_id"
      ),
    ])
  func refusals(request: ListDeadJobsRequest, field: String) async throws {
    try await TestHouse.with(works: false) { house in
      let fields = try await violations {
        try await house.admin.listDeadJobs(request, options: Self.own)
      }
      #expect(fields == [field])
    }
  }

  @Test("Dead jobs that are redriven run again, and nobody redrives another's")
  func redrive() async throws {
    try await TestHouse.with(works: false) { house in
      let mine = try await house.dead("mine")
      let lost = try await house.dead("lost", "LOST")
      let theirs = try await house.dead("theirs", tenant: Self.other)
      func redrive(_ filter: DeadJobFilter?, _ options: CallOptions = Self.own) async throws -> Int64 {
        let request = RedriveDeadJobsRequest(filter: filter)
        return try await house.admin.redriveDeadJobs(request, options: options).message.redriven
      }
      let all = DeadJobFilter(jobIds: [mine, lost, theirs].map { "\($0)" }, errorCode: "BROKEN")
      #expect(try await redrive(all) == 1)
      #expect(try await redrive(all) == 0)
      let hand = try await ReportHand(house)
      let again = try await hand.finishNext(of: Chore.queue)
      #expect(again.job == mine && again.attempt == 2)
      #expect(try await redrive(DeadJobFilter(kind: "chore"), Self.platform) == 2)
      #expect(try await violations { try await redrive(nil) } == ["filter"])
      #expect(try await violations { try await redrive(DeadJobFilter()) } == ["filter"])
    }
  }

  @Test("A dead job gets another payload from the platform, if it is JSON")
  func edit() async throws {
    try await TestHouse.with(works: false) { house in
      let id = try await house.dead("wrong")
      func edit(_ payload: String, _ options: CallOptions = Self.platform) async throws -> DeadJob {
        let request = EditDeadJobRequest(jobId: "\(id)", payload: payload)
        return try await house.admin.editDeadJob(request, options: options).message
      }
      // Whose it is does not matter: it would be done with the service's rights.
      try await expectReason("PERMISSION_DENIED") { try await edit(#"{"what": "x"}"#, Self.own) }
      #expect(try await edit(#"{"what": "right"}"#).payload == #"{"what": "right"}"#)
      for bad in ["", "{", #"{"what": "\u0000"}"#] {
        #expect(try await violations { try await edit(bad) } == ["payload"], "\(bad)")
      }
      let tooLong = "\"" + String(repeating: "x", count: 262_144) + "\""
      #expect(try await violations { try await edit(tooLong) } == ["payload"])
      let unknown = EditDeadJobRequest(jobId: "\(UUID.v7(now: .now()))", payload: "{}")
      try await expectReason("DEAD_JOB_NOT_FOUND") {
        try await house.admin.editDeadJob(unknown, options: Self.platform)
      }
    }
  }

  @Test("Dead jobs that are given up are gone, and nobody gives up another's")
  func delete() async throws {
    try await TestHouse.with(works: false) { house in
      let mine = try await house.dead("mine")
      let theirs = try await house.dead("theirs", tenant: Self.other)
      func delete(_ filter: DeadJobFilter?) async throws -> Int64 {
        let request = DeleteDeadJobsRequest(filter: filter)
        return try await house.admin.deleteDeadJobs(request, options: Self.own).message.deleted
      }
      #expect(try await violations { try await delete(DeadJobFilter()) } == ["filter"])
      #expect(try await delete(DeadJobFilter(jobIds: ["\(theirs)"])) == 0)
      #expect(try await delete(DeadJobFilter(kind: "chore")) == 1)
      let left = try await house.admin.listDeadJobs(ListDeadJobsRequest(), options: Self.platform).message
      #expect(left.jobs.map(\.jobId) == ["\(theirs)"])
      // That it failed is still known.
      let job = try await house.admin.getJob(GetJobRequest(jobId: "\(mine)"), options: Self.own).message
      #expect(job.state == .dead)
    }
  }

  // MARK: Crons

  @Test("A cron that is paused does not tick until it is resumed")
  func crons() async throws {
    try await TestHouse.with(works: false) { house in
      let due = try await house.declareCron("hourly")
      let listed = try await house.admin.listCrons(ListCronsRequest(), options: Self.platform).message.crons
      #expect(
        listed == [
          Cron(
            name: "hourly", expression: "0 * * * *", timezone: "Europe/Berlin", nextAt: Timestamp(due))
        ])
      let paused = try await house.admin.pauseCron(PauseCronRequest(name: "hourly"), options: Self.platform)
      #expect(paused.message.isPaused)
      #expect(try await house.tick("hourly", at: due) == false)
      let resumed = try await house.admin.resumeCron(
        ResumeCronRequest(name: "hourly"), options: Self.platform)
      #expect(!resumed.message.isPaused)
      #expect(try await house.tick("hourly", at: due) == true)
      try await expectReason("CRON_NOT_FOUND") {
        try await house.admin.pauseCron(PauseCronRequest(name: "daily"), options: Self.platform)
      }
      try await expectReason("CRON_NOT_FOUND") {
        try await house.admin.resumeCron(ResumeCronRequest(name: "daily"), options: Self.platform)
      }
    }
  }
}
