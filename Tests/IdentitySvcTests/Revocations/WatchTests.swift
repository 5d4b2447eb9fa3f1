import MainstreetAPI
import RPC
import ServiceKit
import Testing

@testable import IdentitySvc
@testable import Postgres

@Suite("Watching revocations")
struct WatchTests {
  private func watch<Result: Sendable>(
    after: UInt64?, in house: TestHouse,
    _ body: @escaping @Sendable (inout ResponseStream<Revocations>.AsyncIterator) async throws -> Result
  ) async throws -> Result {
    try await house.access.watchRevocations(
      WatchRevocationsRequest(after: after), options: try await house.edge()
    ) { stream in
      var iterator = stream.makeAsyncIterator()
      return try await body(&iterator)
    }
  }

  private func revoke(_ ids: [String], in house: TestHouse) async throws {
    try await house.postgres.transaction(tenant: nil) { try await $0.revoke(ids, now: house.clock.now) }
  }

  @Test("A watcher hears what is revoked from its beginning on, in order, and that there is nothing")
  func heard() async throws {
    try await TestHouse.with { house in
      try await revoke(["key:before"], in: house)
      try await watch(after: nil, in: house) { stream in
        let first = try #require(try await stream.next())
        #expect(first == Revocations(sequence: 1))
        try await revoke(["key:1", "session:2"], in: house)
        var heard: [String] = []
        var messages = 0
        while heard.count < 2, messages < 1000, let message = try await stream.next() {
          heard += message.ids
          messages += 1
        }
        #expect(heard == ["key:1", "session:2"])
        // And goes on saying that there is nothing new.
        let message1 = try await stream.next()
        #expect(message1 == Revocations(sequence: 3))
      }
    }
  }

  @Test("A watcher who was away hears what came since, all of it")
  func resumed() async throws {
    try await TestHouse.with { house in
      let ids = (0..<2500).map { "key:\($0)" }
      for start in stride(from: 0, to: ids.count, by: 500) {
        try await revoke(Array(ids[start..<start + 500]), in: house)
      }
      try await watch(after: 10, in: house) { stream in
        var heard: [String] = []
        while heard.count < 2490, let message = try await stream.next() {
          #expect(!message.reset)
          heard += message.ids
        }
        #expect(heard == Array(ids[10...]))
      }
    }
  }

  @Test(
    "Who was away for too long, or comes from another future, begins anew", arguments: [2, 1_000, UInt64.max])
  func reset(_ after: UInt64) async throws {
    try await TestHouse.with { house in
      for index in 1...5 { try await revoke(["key:\(index)"], in: house) }
      try await house.superuser.run(sql: "DELETE FROM identity.revocations WHERE sequence <= 4")
      try await watch(after: after, in: house) { stream in
        let message2 = try await stream.next()
        #expect(message2 == Revocations(sequence: 5, reset: true))
        let message3 = try await stream.next()
        #expect(message3 == Revocations(sequence: 5))
      }
      try await watch(after: 4, in: house) { stream in
        let message4 = try await stream.next()
        #expect(message4 == Revocations(ids: ["key:5"], sequence: 5))
      }
    }
  }

  @Test(
    "Numbers are in the order of commits: who waits for another's end comes behind it, and none is skipped")
  func ordered() async throws {
    try await TestHouse.with { house in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<40 { group.addTask { try await revoke(["key:\(index)"], in: house) } }
        let heard = try await watch(after: 0, in: house) { stream in
          var heard: [String] = []
          while heard.count < 40, let message = try await stream.next() { heard += message.ids }
          return heard
        }
        try await group.waitForAll()
        #expect(Set(heard) == Set((0..<40).map { "key:\($0)" }))
        #expect(heard.count == 40)
      }
    }
  }
}
