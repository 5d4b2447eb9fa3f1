import Dispatch
import Logging
import NIOCore
import Synchronization
import Testing

@testable import Postgres

/// Runs what it is given there and then, on whatever thread gives it: so a caller goes on inside the very call that
/// resumes it.
private final class InlineExecutor: TaskExecutor {
  func enqueue(_ job: consuming ExecutorJob) { job.runSynchronously(on: asUnownedTaskExecutor()) }
}

@Suite("Taking answers", .timeLimit(.minutes(1)))
struct AnswerTests {
  private typealias Echo = FakeServer.Echo

  private func withClient(_ url: String, _ body: (PostgresClient) async throws -> Void) async throws {
    try await TestDatabase.withClient(
      url, { ($0.sharedConnections, $0.unavailableAfter) = (1, .seconds(2)) }, body)
  }

  @Test(
    "Callers are resumed sixteen at a time while the answers of one read are taken, and the rest at its end")
  func handOver() async throws {
    let executor = QueueExecutor()
    let (asked, answer) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    try await FakeServer.with { session in
      let requests = try session.requests(40)
      asked.signal()
      answer.wait()
      try session.answer(requests)
    } client: { url in
      try await withClient(url) { client in
        let callers = (0..<40).map { number in
          Task(executorPreference: executor) {
            try await client.executeOne(Echo(number: number), tenant: nil)
          }
        }
        await signal(asked)
        let before = executor.countFromElsewhere
        answer.signal()
        for (number, caller) in callers.enumerated() { try await #expect(caller.value == Int64(number)) }
        // 16, 16 and 8.
        #expect(executor.countFromElsewhere == before + 3)
      }
    }
  }

  @Test("What callers ask for when they are resumed in the middle of a read is sent after it, and answered")
  func resumedInTheMiddle() async throws {
    let executor = InlineExecutor()
    try await FakeServer.with { session in
      for _ in 0..<50 { try session.answer(session.requests(40)) }
    } client: { url in
      try await withClient(url) { client in
        let callers = (0..<40).map { caller in
          Task(executorPreference: executor) {
            for turn in 0..<50 as Range<Int64> {
              let number = Int64(caller) * 100 + turn
              try await #expect(client.executeOne(Echo(number: number), tenant: nil) == number)
            }
          }
        }
        for caller in callers { try await caller.value }
      }
    }
  }

  @Test("Those answered before the connection broke have their answers, the others may have been applied")
  func brokenBehindAnswers() async throws {
    try await FakeServer.with { session in
      try session.answer(session.requests(20).prefix(13))
    } client: { url in
      try await withClient(url) { client in
        let callers = (0..<20).map { number in
          Task { try await client.executeOne(Echo(number: number), tenant: nil) }
        }
        var answered = 0
        for (number, caller) in callers.enumerated() {
          do {
            try await #expect(caller.value == Int64(number))
            answered += 1
          } catch let error as PostgresError {
            #expect(error.kind == .connectionLost && error.maybeApplied)
          }
        }
        #expect(answered == 13)
      }
    }
  }

  @Test(
    "Sending fails while answers wait to be read: they are taken, in order, and a farewell behind them is believed",
    arguments: [false, true])
  func brokenBeforeReading(saysFarewell: Bool) async throws {
    let ended = DispatchSemaphore(value: 0)
    try await FakeServer.with { session in
      defer { ended.signal() }
      let requests = try session.requests(5)
      try session.answer(requests.prefix(3), then: saysFarewell ? session.farewell : ByteBuffer())
      session.end()
    } client: { url in
      let parameters = try PostgresClient.Configuration(url: url).connectionParameters()
      let connection = try Connector(parameters: parameters, logger: Logger(label: "test"))
        .connect(mayCopy: false).get()
      func send() -> Request {
        let request = Request([Step(Echo(number: 1))], deadline: nil)
        _ = connection.send(request, now: .now())
        return request
      }
      let requests = (0..<5).map { _ in send() }
      connection.flush()
      await signal(ended)
      // The first finds out that nobody listens, and only the second is told.
      var answered: [Request] = []
      while connection.failure == nil {
        _ = send()
        connection.drain { answered.append($0) }
      }
      #expect(answered.map(ObjectIdentifier.init) == requests.prefix(3).map(ObjectIdentifier.init))
      #expect(answered.allSatisfy { $0.results.count == 1 && $0.error == nil })
      #expect((connection.failure?.sqlState == .adminShutdown) == saysFarewell)
      let lost = connection.lose()
      #expect(
        lost.prefix(2).map { ObjectIdentifier($0.request) } == requests.suffix(2).map(ObjectIdentifier.init))
      #expect(lost.allSatisfy { $0.maybeApplied != saysFarewell })
    }
  }

  /// Waits for it without keeping a thread of the pool that runs tests.
  private func signal(_ semaphore: DispatchSemaphore) async {
    await withCheckedContinuation { continuation in
      DispatchQueue.global().async {
        semaphore.wait()
        continuation.resume()
      }
    }
  }
}
