import Testing

@testable import Jobs
@testable import Postgres

@Suite("Waking")
struct WakingTests {
  @Test("Others are told even of what was added just before the end")
  func lastWords() async throws {
    try await TestQueue.with { queue in
      var heard = try queue.superuser.listen(to: [queue.jobs.channel]).makeAsyncIterator()
      #expect(await heard.next() == .missed)
      try await TestQueue.serving([queue.jobs]) {
        try await queue.add(["told of at once"])
        try await queue.add(["within the pause after that"]) { $0.queue = "late" }
      }
      var told: Set<String> = []
      while told.count < 2, case .notified(_, let name) = await heard.next() { told.insert(name) }
      #expect(told == ["test", "late"])
    }
  }
}
