import Dispatch
import Synchronization
import Testing

@testable import Postgres

/// A thread's worth of a queue, which counts the tasks handed to it by others.
final class QueueExecutor: TaskExecutor {
  private static let key = DispatchSpecificKey<ObjectIdentifier>()
  private let queue = DispatchQueue(label: "waiters")
  private let fromElsewhere = Atomic<Int>(0)

  init() { queue.setSpecific(key: Self.key, value: ObjectIdentifier(self)) }

  var countFromElsewhere: Int { fromElsewhere.load(ordering: .sequentiallyConsistent) }

  func enqueue(_ job: consuming ExecutorJob) {
    if DispatchQueue.getSpecific(key: Self.key) != ObjectIdentifier(self) {
      fromElsewhere.add(1, ordering: .sequentiallyConsistent)
    }
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}

@Suite("Waiters")
struct WaiterTests {
  @Test("Callers answered at once cost each executor one wake-up, and those without an executor one each")
  func together() async throws {
    let executors: [QueueExecutor?] = [QueueExecutor(), QueueExecutor(), nil]
    let (submitted, submit) = AsyncStream.makeStream(of: (index: Int, waiter: Waiter<Int>).self)
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for index in 0..<60 {
        group.addTask(executorPreference: executors[index % 3]) {
          let waiter = Waiter<Int>()
          return try await waiter.wait(submit: { submit.yield((index, waiter)) }) == index
        }
      }
      var waiters: [Waiter<Int>] = []
      for await (index, waiter) in submitted.prefix(60) {
        #expect(waiter.finish(.success(index)))
        waiters.append(waiter)
      }
      let before = executors.map { $0?.countFromElsewhere }
      waiters.resumeAll()
      #expect(waiters.isEmpty)
      for try await isOwnOutcome in group { #expect(isOwnOutcome) }
      #expect(executors.map { $0?.countFromElsewhere } == before.map { $0.map { $0 + 1 } })
    }
  }

  @Test("A failed or cancelled caller wakes those it was answered with")
  func failed() async throws {
    struct Failure: Error {}
    let executor = QueueExecutor()
    let (submitted, submit) = AsyncStream.makeStream(of: Waiter<Int>.self)
    let tasks = (0..<3).map { _ in
      Task(executorPreference: executor) {
        let waiter = Waiter<Int>()
        return try await waiter.wait(submit: { submit.yield(waiter) })
      }
    }
    var waiters: [Waiter<Int>] = []
    for await waiter in submitted.prefix(3) {
      #expect(waiter.finish(waiters.isEmpty ? .failure(Failure()) : .success(1)))
      waiters.append(waiter)
    }
    for task in tasks { task.cancel() }
    waiters.resumeAll()
    var outcomes: [Int?] = []
    for task in tasks { outcomes.append(try? await task.value) }
    #expect(outcomes.compactMap(\.self) == [1, 1])
  }
}
