import MainstreetAPI
import Postgres
import RPC
import Testing

@testable import StoreSvc

@Suite("Polls")
struct PollTests {
  private static let noon = Timestamp(seconds: 1_674_648_000, nanos: 0)

  @Test("The same poll again is a duplicate, a different one replaces it and is counted")
  func again() async throws {
    try await TestHouse.with(works: false) { house in
      let store = try await house.create()
      func record(_ status: PollStatus) async throws -> (PollOutcome, String?) {
        let response = try await house.stores.recordPoll(
          RecordPollRequest(storeId: store.storeId, status: status, timestamp: Self.noon),
          options: CallOptions(metadata: TestHouse.principal()))
        return (response.message.outcome, response.initialMetadata["http-status"])
      }
      #expect(try await record(.active) == (.recorded, nil))
      #expect(try await record(.active) == (.duplicate, "200"))
      #expect(try await record(.inactive) == (.replaced, "200"))
      #expect(try await record(.inactive) == (.duplicate, "200"))
      let replaced = try await house.superuser.executeOne(CountReplaced(), tenant: nil)
      #expect(replaced == 1)
    }
  }

  @Test("A poll more than five minutes ahead of our clock is refused; one a little ahead is not")
  func future() async throws {
    try await TestHouse.with(works: false) { house in
      let store = try await house.create()
      let now = PostgresTimestamp.now().seconds
      func record(_ seconds: Int64) async throws -> String? {
        try await reason {
          try await house.stores.recordPoll(
            RecordPollRequest(
              storeId: store.storeId, status: .active, timestamp: Timestamp(seconds: seconds, nanos: 0)),
            options: CallOptions(metadata: TestHouse.principal()))
        }
      }
      #expect(try await record(now + 240) == nil)
      #expect(try await record(now + 900) == "POLL_IN_FUTURE")
      #expect(try await record(-1) == "INVALID_TIMESTAMP")
    }
  }

  @Test("A poll of a store that is not there is refused")
  func unknownStore() async throws {
    try await TestHouse.with(works: false) { house in
      let request = RecordPollRequest(
        storeId: "\(TestHouse.stranger)", status: .active, timestamp: Self.noon)
      try await expectReason("STORE_NOT_FOUND") {
        try await house.stores.recordPoll(request, options: CallOptions(metadata: TestHouse.principal()))
      }
    }
  }

  @Test("Each poll of a batch has the outcome it would have had alone, in its turn")
  func batch() async throws {
    try await TestHouse.with(works: false) { house in
      let store = try await house.create().storeId
      let later = Timestamp(seconds: Self.noon.seconds + 60, nanos: 0)
      func send(_ polls: [Poll]) async throws -> [PollOutcome] {
        try await house.stores.recordPolls(
          RecordPollsRequest(polls: polls), options: CallOptions(metadata: TestHouse.principal())
        )
        .message.results.map(\.outcome)
      }
      let up = Poll(storeId: store, status: .active, timestamp: Self.noon)
      let down = Poll(storeId: store, status: .inactive, timestamp: Self.noon)
      let stranger = Poll(storeId: "\(TestHouse.stranger)", status: .active, timestamp: Self.noon)
      let future = Poll(
        storeId: store, status: .active,
        timestamp: Timestamp(seconds: PostgresTimestamp.now().seconds + 3600, nanos: 0))
      let next = Poll(storeId: store, status: .active, timestamp: later)
      #expect(
        try await send([up, up, down, stranger, future, next])
          == [.recorded, .duplicate, .replaced, .rejected, .rejected, .recorded])
      // Now the database holds `down`.
      #expect(try await send([up, down, down]) == [.replaced, .replaced, .duplicate])
      #expect(try await send([down, up]) == [.duplicate, .replaced])
    }
  }
}

private struct CountReplaced: Statement {
  static let name = "CountReplaced"
  static let sql = "SELECT sum(replaced) FROM store.polls"
  static func decode(_ row: inout RowReader) throws -> Int64? { try row.next() }
}
