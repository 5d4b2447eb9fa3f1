import Testing

@testable import Jobs
@testable import Postgres

@Suite("Workers")
struct WorkerTests {
  @Test("At shutdown what runs may end, and what has not begun is left to others")
  func shutdown() async throws {
    try await TestQueue.with { queue in
      let started = Ledger<String>()
      let gate = Gate()
      let handler = JobHandler.on(Note.self) { note, _ in
        started.write(note.text)
        await gate.pass()
      }
      try await queue.add(["a", "b", "c"])
      try await queue.working([handler], queues: ["test": QueueSettings(concurrency: 2)]) {
        try await started.wait(for: 2)
        Task {
          // The worker is told to stop when this body returns.
          while try await queue.count("ready", where: "attempt = 0") != 1 { await Task.yield() }
          gate.open()
        }
      }
      #expect(try await queue.count("history", where: "outcome = 'succeeded'") == 2)
      #expect(try await queue.count("ready", where: "failed = 0 AND crashes = 0") == 1)
      #expect(try await queue.count("running") == 0)
      #expect(try await queue.count("workers") == 0)
    }
  }

  @Test("What outlasts the grace is cancelled and given back, and has not failed")
  func grace() async throws {
    try await TestQueue.with { queue in
      let started = Ledger<String>()
      var settings = WorkerSettings()
      settings.grace = .milliseconds(10)
      let handler = JobHandler.on(Note.self) { note, _ in
        started.write(note.text)
        try await Task.sleep(for: .seconds(600))
      }
      try await queue.add(["long"])
      try await queue.working([handler], settings: settings) { try await started.wait(for: 1) }
      #expect(try await queue.count("ready", where: "failed = 0 AND crashes = 0 AND attempt = 1") == 1)
      #expect(try await queue.count("workers") == 0)
    }
  }

  struct Quick: JobKind {
    static let name = "quick"
    static let queue = "test"
    static var options: JobOptions {
      var options = JobOptions()
      options.timeout = .milliseconds(20)
      options.maxAttempts = 1
      return options
    }
  }

  struct Once: JobKind {
    static let name = "once"
    static let queue = "test"
    static var options: JobOptions {
      var options = JobOptions()
      options.maxAttempts = 1
      return options
    }
  }

  @Test("A worker whose task is cancelled gives back what it runs, and that has not failed")
  func cancelled() async throws {
    try await TestQueue.with { queue in
      let started = Ledger<Int>()
      let handler = JobHandler.on(Once.self) { _, context in
        started.write(context.attempt)
        try await Task.sleep(for: .seconds(600))
      }
      try await queue.jobs.add(Once(), tenant: nil)
      let worker = JobWorker(
        jobs: queue.jobs, queues: ["test": QueueSettings(concurrency: 1)], handlers: [handler])
      let task = Task { try await worker.run() }
      try await started.wait(for: 1)
      task.cancel()
      try await task.value
      #expect(try await queue.count("ready", where: "failed = 0 AND crashes = 0 AND attempt = 1") == 1)
      #expect(try await queue.count("dead") == 0)
      #expect(try await queue.count("workers") == 0)
    }
  }

  @Test("A job that takes too long is stopped, and has failed")
  func timeout() async throws {
    try await TestQueue.with { queue in
      let handler = JobHandler.on(Quick.self) { _, context in
        #expect(context.deadline <= .now + .milliseconds(20))
        try await Task.sleep(for: .seconds(600))
      }
      try await queue.working([handler], queues: ["test": QueueSettings(concurrency: 1)]) {
        for _ in 0..<2 {
          let added = try await queue.jobs.add(Quick(), tenant: nil)
          #expect(try await queue.wait(for: added.id).station == .dead)
        }
      }
      #expect(try await queue.count("dead", where: "error_code = 'TIMEOUT'") == 2)
    }
  }

  @Test("A job may be acknowledged in the transaction of its effect: both happen, or neither")
  func complete() async throws {
    struct Refusal: Error {}
    try await TestQueue.with { queue in
      try await queue.superuser.run(sql: "CREATE TABLE effects (job uuid)")
      try await queue.superuser.run(sql: "GRANT INSERT, SELECT ON effects TO mainstreet_jobs")
      let handler = JobHandler.on(Note.self) { _, context in
        try await queue.jobs.postgres.transaction(tenant: nil) { transaction in
          try await transaction.execute(sql: "INSERT INTO effects VALUES ('\(context.id)')")
          try await context.complete(in: transaction)
          if context.attempt == 1 { throw Refusal() }
        }
        // What comes after the end of a job is not the job's failure.
        throw Refusal()
      }
      try await queue.working([handler]) {
        let added = try await queue.add(["a"])
        let status = try await queue.wait(for: added[0].id)
        #expect(status.station == .succeeded)
        #expect(status.attempt == 2)
      }
      #expect(try await queue.superuser.value("SELECT count(*) FROM effects", Int64.self) == 1)
    }
  }

  @Test("Progress is seen from outside while the job runs")
  func progress() async throws {
    try await TestQueue.with { queue in
      var settings = WorkerSettings()
      settings.lease = .seconds(2)
      let gate = Gate()
      let handler = JobHandler.on(Note.self) { _, context in
        context.progress(0.25)
        await gate.pass()
      }
      try await queue.working([handler], settings: settings) {
        let added = try await queue.add(["a"])
        let status = try await queue.wait(for: added[0].id) { $0.progress > 0 }
        #expect(status.progress == 0.25)
        #expect(status.station == .running)
        gate.open()
        #expect(try await queue.wait(for: added[0].id).progress == 1)
      }
    }
  }

  @Test("A worker that was buried stops what it runs and enlists anew; the job is run again")
  func buried() async throws {
    try await TestQueue.with { queue in
      var settings = WorkerSettings()
      settings.lease = .seconds(2)
      let attempts = Ledger<Int>()
      let handler = JobHandler.on(Note.self) { _, context in
        if attempts.write(context.attempt) == 1 { try await Task.sleep(for: .seconds(600)) }
      }
      try await queue.working([handler], queues: ["test": QueueSettings(concurrency: 1)], settings: settings)
      {
        let added = try await queue.add(["a"])
        try await attempts.wait(for: 1)
        // Whatever its beat: as a watcher would that is mistaken.
        try await queue.superuser.run(sql: "SELECT jobs_bury(worker_id, NULL) FROM jobs_workers")
        let status = try await queue.wait(for: added[0].id)
        #expect(status.station == .succeeded)
        #expect(status.attempt >= 2)
      }
    }
  }

  @Test("A worker that cannot say that it lives stops what it runs before others may run it")
  func silent() async throws {
    try await TestQueue.with { queue in
      let settings = {
        var settings = WorkerSettings()
        settings.lease = .seconds(2)
        return settings
      }()
      let started = Ledger<Int>()
      let stopped = Ledger<Int>()
      let handler = JobHandler.on(Note.self) { _, context in
        guard started.write(context.attempt) == 1 else { return }
        do { try await Task.sleep(for: .seconds(600)) } catch { stopped.write(context.attempt) }
      }
      try await queue.working([handler], settings: settings) {
        let added = try await queue.add(["a"])
        try await started.wait(for: 1)
        try await queue.superuser.transaction(tenant: nil) { transaction in
          // Nobody can beat now, nor bury.
          try await transaction.execute(sql: "SELECT FROM jobs_workers FOR UPDATE")
          try await stopped.wait(for: 1)
        }
        let status = try await queue.wait(for: added[0].id)
        #expect(status.station == .succeeded)
        #expect(status.attempt >= 2)
      }
    }
  }

  @Test("A worker that vanished is buried by the others, and its jobs are run")
  func vanished() async throws {
    try await TestQueue.with { queue in
      let added = try await queue.add(["a"])
      let vanished = try await queue.enlist(lease: .seconds(1))
      #expect(try await vanished.fetch().count == 1)
      var settings = WorkerSettings()
      settings.lease = .seconds(1)
      try await queue.working([.on(Note.self) { _, _ in }], settings: settings) {
        let status = try await queue.wait(for: added[0].id)
        #expect(status.station == .succeeded)
        #expect(status.attempt >= 2)
      }
      #expect(try await vanished.beat() == nil)
    }
  }

  @Test("A kind that nobody here knows is left for those who may")
  func unknownKind() async throws {
    try await TestQueue.with { queue in
      let added = try await queue.add(["a"])
      try await queue.working([]) {
        let status = try await queue.wait(for: added[0].id) { $0.station == .scheduled }
        #expect(status.failures.isEmpty)
      }
    }
  }

  @Test("A job added elsewhere is begun as soon as it is told of")
  func notified() async throws {
    try await TestQueue.with { queue in
      let settings = {
        var settings = QueueSettings(concurrency: 1)
        settings.poll = .seconds(600)
        return settings
      }()
      let ledger = Ledger<String>()
      let handler = JobHandler.on(Note.self) { note, _ in _ = ledger.write(note.text) }
      let url = queue.superuser.configuration.url
      try await TestQueue.withClient(url + "&user=mainstreet_jobs", queue.schema) { elsewhere in
        let there = Jobs(postgres: elsewhere, logger: .quiet)
        try await TestQueue.serving([there, queue.jobs]) {
          try await queue.working([handler], queues: ["test": settings]) {
            try await there.add(Note(text: "one"), tenant: nil)
            try await ledger.wait(for: 1)
            try await there.add(Note(text: "two"), tenant: nil)
            try await ledger.wait(for: 2)
          }
        }
      }
      #expect(ledger.entries == ["one", "two"])
    }
  }
}
