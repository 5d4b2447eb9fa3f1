import Glibc
import Logging
import NIOCore
import Testing

@testable import Postgres

private typealias Event = PostgresNotifications.Event

private struct Notify: Statement {
  static let name = "Notify"
  static let sql = "SELECT pg_notify($1, $2)"
  var channel: String
  var payload: String
  func bind(into bindings: inout Bindings) {
    bindings.append(channel)
    bindings.append(payload)
  }
}

extension PostgresClient {
  fileprivate func notify(_ channel: String, _ payload: String) async throws {
    try await executeCount(Notify(channel: channel, payload: payload), tenant: nil)
  }

  /// Ends the backend whose last command was a LISTEN.
  fileprivate func endListener() async throws {
    let ended = try await value(
      """
      SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
      WHERE datname = current_database() AND query ~ 'LISTEN'  AND pid <> pg_backend_pid()
      """, Int64.self)
    #expect(ended == 1)
  }
}

@Suite("Notifications", .timeLimit(.minutes(1)))
struct ListenTests {
  @Test("First comes missed, then what is told on the channels, in order")
  func hears() async throws {
    try await TestDatabase.withClient { client in
      let channel = "a \"quoted\" Channel"
      var events = try client.listen(to: [channel, "b"]).makeAsyncIterator()
      #expect(await events.next() == .missed)
      try await client.notify("b", "1")
      try await client.notify("c", "not heard")
      try await client.notify(channel, "naïve 🏪")
      try await client.notify("b", "")
      #expect(await events.next() == .notified(channel: "b", payload: "1"))
      #expect(await events.next() == .notified(channel: channel, payload: "naïve 🏪"))
      #expect(await events.next() == .notified(channel: "b", payload: ""))
    }
  }

  @Test("A notification of a transaction is heard when it commits, and not when it is rolled back")
  func commits() async throws {
    try await TestDatabase.withClient { client in
      var events = try client.listen(to: ["a"]).makeAsyncIterator()
      #expect(await events.next() == .missed)
      struct Refused: Error {}
      await #expect(throws: Refused.self) {
        try await client.transaction(tenant: nil) { transaction in
          try await transaction.executeCount(Notify(channel: "a", payload: "never"))
          throw Refused()
        }
      }
      try await client.transaction(tenant: nil) { transaction in
        try await transaction.executeCount(Notify(channel: "a", payload: "committed"))
      }
      #expect(await events.next() == .notified(channel: "a", payload: "committed"))
    }
  }

  @Test("After its backend was ended a listener is told that it missed something, and hears again")
  func reconnects() async throws {
    try await TestDatabase.withClient { client in
      var first = try client.listen(to: ["a"]).makeAsyncIterator()
      var second = try client.listen(to: ["a", "b"]).makeAsyncIterator()
      #expect(await first.next() == .missed)
      #expect(await second.next() == .missed)
      for round in 1...3 {
        try await client.endListener()
        #expect(await first.next() == .missed)
        #expect(await second.next() == .missed)
        try await client.notify("a", "\(round)")
        #expect(await first.next() == .notified(channel: "a", payload: "\(round)"))
        #expect(await second.next() == .notified(channel: "a", payload: "\(round)"))
      }
    }
  }

  @Test("Listeners share a connection, which ends with the last of them")
  func sharedConnection() async throws {
    try await TestDatabase.withClient { client in
      let listeners =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^(UN)?LISTEN'"
      var first = try client.listen(to: ["a"]).makeAsyncIterator()
      #expect(await first.next() == .missed)
      do {
        var second = try client.listen(to: ["a", "b"]).makeAsyncIterator()
        #expect(await second.next() == .missed)
        #expect(try await client.value(listeners, Int64.self) == 1)
      }
      // What only the second listened to is listened to no longer; the first still hears.
      try await client.notify("a", "still")
      #expect(await first.next() == .notified(channel: "a", payload: "still"))
      first = try client.listen(to: ["c"]).makeAsyncIterator()
      #expect(await first.next() == .missed)
      let others = try PostgresClient(configuration: client.configuration, logger: .init(label: "x"))
      var third = try others.listen(to: ["c"]).makeAsyncIterator()
      #expect(await third.next() == .missed)
      #expect(try await client.value(listeners, Int64.self) == 2)
      await others.loop.drain()
      #expect(await third.next() == nil)
      while try await client.value(listeners, Int64.self) != 1 {}
    }
  }

  @Test("What a slow reader leaves lying becomes one missed")
  func overflow() async throws {
    try await TestDatabase.withClient({ $0.notificationLimit = 4 }) { client in
      var slow = try client.listen(to: ["a"]).makeAsyncIterator()
      var quick = try client.listen(to: ["a"]).makeAsyncIterator()
      #expect(await slow.next() == .missed)
      #expect(await quick.next() == .missed)
      for number in 1...6 {
        try await client.notify("a", "\(number)")
        #expect(await quick.next() == .notified(channel: "a", payload: "\(number)"))
      }
      var seen: [Event?] = []
      for _ in 1...2 { seen.append(await slow.next()) }
      #expect(seen == [.missed, .notified(channel: "a", payload: "6")])
    }
  }

  @Test("A connection that is silent is asked whether it lives, and one that does not answer is replaced")
  func keepalive() async throws {
    try await TestDatabase.withClient({ $0.listenKeepalive = .milliseconds(200) }) { client in
      var events = try client.listen(to: ["a"]).makeAsyncIterator()
      #expect(await events.next() == .missed)
      let listener =
        "FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT 1' AND state = 'idle'"
      while try await client.value("SELECT count(*) \(listener)", Int64.self) == 0 {}
      // Stopped, the backend holds the connection but says nothing.
      let pid = try #require(try await client.value("SELECT pid \(listener)", Int32.self))
      kill(pid, SIGSTOP)
      defer { kill(pid, SIGCONT) }
      #expect(await events.next() == .missed)
      try await client.notify("a", "again")
      #expect(await events.next() == .notified(channel: "a", payload: "again"))
    }
  }

  @Test("Cancelling its task ends the sequence")
  func cancellation() async throws {
    try await TestDatabase.withClient { client in
      let events = try client.listen(to: ["a"])
      let heard = Gate()
      let reader = Task {
        var count = 0
        for await _ in events {
          count += 1
          heard.open()
        }
        return count
      }
      await heard.wait()
      reader.cancel()
      #expect(await reader.value == 1)
    }
  }

  @Test("A client that is shut down ends its listeners, and takes no more")
  func shutdown() async throws {
    try await TestDatabase.withClient { client in
      var events = try client.listen(to: ["a"]).makeAsyncIterator()
      #expect(await events.next() == .missed)
      await client.loop.drain()
      #expect(await events.next() == nil)
      var late = try client.listen(to: ["a"]).makeAsyncIterator()
      #expect(await late.next() == nil)
    }
  }

  @Test(
    "What cannot name a channel is refused",
    arguments: [[], [""], [String(repeating: "x", count: 64)], ["a\0"], (0...64).map { "\($0)" }])
  func badChannels(channels: [String]) async throws {
    try await TestDatabase.withClient { client in
      let error = #expect(throws: PostgresError.self) { try client.listen(to: channels) }
      #expect(error?.kind == .misuse)
    }
  }
}

@Suite("Notifications kept for a reader")
struct NotificationBufferTests {
  private func read(_ events: [Event], limit: Int) -> [Event] {
    var buffer = NotificationBuffer(limit: limit)
    for event in events { buffer.append(event) }
    var read: [Event] = []
    while let event = buffer.popFirst() { read.append(event) }
    return read
  }

  private func told(_ payload: String) -> Event { .notified(channel: "c", payload: payload) }

  @Test("As many as fit are kept, in order")
  func fits() {
    #expect(read([.missed, told("1"), told("2")], limit: 3) == [.missed, told("1"), told("2")])
  }

  @Test("One too many becomes missed, together with all before it")
  func overflows() {
    #expect(read([told("1"), told("2"), told("3")], limit: 2) == [.missed])
    #expect(read([told("1"), told("2"), told("3"), told("4")], limit: 2) == [.missed, told("4")])
    #expect(read([told("1"), told("2"), .missed], limit: 2) == [.missed])
    #expect(read([told("1"), told("2")], limit: 1) == [.missed])
  }

  @Test("To have missed twice in a row is to have missed")
  func missedOnce() {
    #expect(read([.missed, .missed, told("1"), .missed], limit: 9) == [.missed, told("1"), .missed])
  }
}
