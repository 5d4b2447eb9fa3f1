package import NIOCore
import NIOPosix
import Synchronization

/// Runs tasks on an event loop, so that a handler and the socket it answers to share a thread.
///
/// Jobs are run in batches. On the loop they are gathered and run at the end of its current turn, before it
/// sleeps again, so resuming a task costs no wake-up. From other threads, one wake-up serves all jobs that come
/// until the loop gets to them.
package final class EventLoopTaskExecutor: TaskExecutor, @unchecked Sendable {
  private let eventLoop: any EventLoop

  // Touched on the loop only.
  private var ready: [UnownedJob] = []
  private var running: [UnownedJob] = []
  private var isScheduled = false

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
      eventLoop.execute {
        self.isScheduled = false
        self.runReady()
      }
    } else {
      let isFirst = fromElsewhere.withLock { jobs in
        jobs.append(job)
        return jobs.count == 1
      }
      if isFirst { eventLoop.execute { self.runFromElsewhere() } }
    }
  }

  /// Runs the jobs gathered so far. Those they enqueue wait for the next turn: a task that always finds work
  /// must not keep the loop from its sockets.
  func runReady() {
    guard !ready.isEmpty, running.isEmpty else { return }
    swap(&ready, &running)
    for job in running { job.runSynchronously(on: asUnownedTaskExecutor()) }
    running.removeAll(keepingCapacity: true)
  }

  private func runFromElsewhere() {
    let jobs = fromElsewhere.withLock { jobs in
      defer { jobs.removeAll() }
      return jobs
    }
    for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
  }
}
