package import NIOCore
import NIOPosix
import Synchronization

/// Runs tasks on an event loop, so that a handler and the socket it answers to share a thread.
///
/// Jobs are run in batches. On the loop they are gathered and run at the end of its current turn, before it
/// sleeps again, so resuming a task costs no wake-up. From other threads, one wake-up serves all jobs that come
/// until the loop gets to them.
///
/// A turn of NIO's ends when nothing is left to run. Jobs that always enqueue others, such as those of a task that
/// yields in a loop, would make it endless, so after `maxBatches` they are made to wait for the next. Whoever has a lot
/// to do that needs no job for it waits there of its own accord: `afterSockets`.
package final class EventLoopTaskExecutor: TaskExecutor, @unchecked Sendable {
  private let eventLoop: any EventLoop

  // Touched on the loop only.
  private var ready: [UnownedJob] = []
  private var running: [UnownedJob] = []
  private var isScheduled = false
  private var waiting: [() -> Void] = []
  private var isWaitScheduled = false
  /// Batches one after the other, each enqueued by the one before.
  private var batches = 0

  private static let maxBatches = 64
  /// Until it is over the loop has nothing to run, so that it looks at its sockets. It begins when a batch has been run:
  /// one that were over by then would be no pause.
  private static let pause = TimeAmount.microseconds(20)

  private let fromElsewhere = Mutex<[UnownedJob]>([])

  private init(_ eventLoop: any EventLoop) {
    self.eventLoop = eventLoop
  }

  /// The executor of the loop this is called on; there is one for each loop.
  package static func current(on eventLoop: any EventLoop) -> EventLoopTaskExecutor {
    if let known = ofThread.currentValue, known.eventLoop === eventLoop { return known }
    let executor = EventLoopTaskExecutor(eventLoop)
    ofThread.currentValue = executor
    return executor
  }

  private static let ofThread = ThreadSpecificVariable<EventLoopTaskExecutor>()

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if eventLoop.inEventLoop {
      ready.append(job)
      guard !isScheduled else { return }
      isScheduled = true
      if running.isEmpty { schedule() }
    } else {
      let isFirst = fromElsewhere.withLock { jobs in
        jobs.append(job)
        return jobs.count == 1
      }
      if isFirst { eventLoop.execute { self.runFromElsewhere() } }
    }
  }

  /// Does something when the loop has looked at its sockets. On the loop.
  func afterSockets(_ body: @escaping () -> Void) {
    waiting.append(body)
    if running.isEmpty { scheduleWaiting() }
  }

  /// Suspends until the loop has looked at its sockets: for a task on it that has a lot to do, between two pieces of it.
  package func letOthersGo() async {
    await withCheckedContinuation { continuation in
      if eventLoop.inEventLoop {
        afterSockets { continuation.resume() }
      } else {
        continuation.resume()
      }
    }
  }

  private func schedule() {
    guard batches < Self.maxBatches else {
      batches = 0
      eventLoop.assumeIsolated().scheduleTask(in: Self.pause) { self.runBatch() }
      return
    }
    eventLoop.assumeIsolated().execute { self.runBatch() }
  }

  private func scheduleWaiting() {
    guard !waiting.isEmpty, !isWaitScheduled else { return }
    isWaitScheduled = true
    // Behind what has been submitted so far, such as the writing of answers: the pause would be over before that is.
    eventLoop.assumeIsolated().execute {
      self.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
        self.isWaitScheduled = false
        let bodies = self.waiting
        self.waiting = []
        for body in bodies { body() }
      }
    }
  }

  private func runBatch() {
    isScheduled = false
    batches += 1
    runReady()
    if !isScheduled { batches = 0 }
  }

  /// Runs the jobs gathered so far; those they enqueue are of the next batch.
  package func runReady() {
    guard !ready.isEmpty, running.isEmpty else { return }
    let wasScheduled = isScheduled
    swap(&ready, &running)
    for job in running { job.runSynchronously(on: asUnownedTaskExecutor()) }
    running.removeAll(keepingCapacity: true)
    if isScheduled, !wasScheduled { schedule() }
    if !waiting.isEmpty { scheduleWaiting() }
  }

  private func runFromElsewhere() {
    let jobs = fromElsewhere.withLock { jobs in
      defer { jobs.removeAll() }
      return jobs
    }
    for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
  }
}
