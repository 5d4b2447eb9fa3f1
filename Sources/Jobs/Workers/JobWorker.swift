internal import Glibc
internal import Logging
internal import Postgres
internal import ServiceLifecycle
internal import Synchronization

/// Runs the jobs of some queues. Any number of these, here and on other machines, share the work.
///
/// When a worker dies its jobs are run again by others, a lease later and a little; so a handler must bear that. At
/// shutdown no more jobs are begun, running ones get a grace, and what has not ended then is left to others at once.
package final class JobWorker: Service {
  private let jobs: Jobs
  private let settings: WorkerSettings
  private let queues: [QueueWorker]
  private let heart: Heart
  private let stopping = Mutex<ContinuousClock.Instant?>(nil)
  private let tick: Duration

  /// - Parameters:
  ///   - queues: which to work, by name.
  ///   - handlers: one for each kind that the queues may hold.
  package init(
    jobs: Jobs, queues: [String: QueueSettings], handlers: [JobHandler], settings: WorkerSettings = .init()
  ) {
    self.jobs = jobs
    self.settings = settings
    let byKind = Dictionary(handlers.map { ($0.kind, $0) }) { _, _ in
      preconditionFailure("two handlers for a kind")
    }
    self.queues = queues.map { QueueWorker(jobs: jobs, queue: $0, settings: $1, handlers: byKind) }
    heart = Heart(jobs: jobs, settings: settings, queues: self.queues, name: Self.name)
    let shortest = handlers.map(\.options.timeout).min() ?? .seconds(1)
    tick = max(.milliseconds(20), min(.seconds(1), min(shortest / 4, settings.lease / 20)))
  }

  package func run() async throws {
    let lifeline = try jobs.lifeline()
    await withTaskCancellationOrGracefulShutdownHandler {
      await declareLimits()
      jobs.doorbells.listen(to: Doorbells.cancellations, as: self) { [heart] in heart.signal.notify() }
      await withTaskGroup { group in
        group.addTask { await self.heart.run(on: lifeline) }
        group.addTask { await Watch(jobs: self.jobs, settings: self.settings, postgres: lifeline).run() }
        group.addTask { await Stager(jobs: self.jobs).run() }
        group.addTask { await self.keepTime(lifeline) }
        await withDiscardingTaskGroup { queues in
          for queue in self.queues { queues.addTask { await queue.run(doubt: self.heart.doubt) } }
        }
        group.cancelAll()
      }
      jobs.doorbells.dismiss(self)
      // A task of its own, since this one may be cancelled and could not say goodbye.
      await Task { [heart] in await heart.leave(on: lifeline) }.value
    } onCancelOrGracefulShutdown: {
      self.stop()
    }
    // All this has come to its end because it was told to, and so is the client.
    await lifeline.run()
  }

  private func declareLimits() async {
    for queue in queues {
      guard let limit = queue.settings.limit else { continue }
      while !Task.isCancelled, stopping.withLock({ $0 == nil }) {
        do {
          try await jobs.limit(queue.queue, limit)
          break
        } catch {
          jobs.logger.warning(
            "cannot declare a queue's limit", metadata: ["queue": "\(queue.queue)", "error": "\(error)"])
          try? await Task.sleep(for: .seconds(1))
        }
      }
    }
  }

  private func stop() {
    let now = ContinuousClock.now
    stopping.withLock { $0 = $0 ?? now }
    for queue in queues { queue.stop(giveUpAt: now + settings.grace + Self.lastWords) }
  }

  /// What a job that was cancelled at shutdown has to end, before its worker leaves without it.
  private static let lastWords = Duration.seconds(3)

  /// Sees to it that nothing takes longer than it may.
  private func keepTime(_ lifeline: PostgresClient) async {
    var hasLeft = false
    while !Task.isCancelled {
      let now = ContinuousClock.now
      for queue in queues { queue.expire(now) }
      heart.check(now)
      if let since = stopping.withLock({ $0 }) {
        if now - since >= settings.grace { for queue in queues { queue.stopRunning(.shutdown) } }
        if now - since >= settings.grace + Self.lastWords, !hasLeft, queues.contains(where: \.isBusy) {
          // A handler that does not heed cancellation. Its job is run again elsewhere meanwhile.
          hasLeft = true
          await heart.leave(on: lifeline)
        }
      }
      try? await Task.sleep(for: tick)
    }
  }

  /// The host and process, for people.
  private static var name: String {
    var buffer = [CChar](repeating: 0, count: 256)
    gethostname(&buffer, buffer.count - 1)
    let host = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return "\(host):\(getpid())"
  }
}
