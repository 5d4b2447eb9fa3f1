import NIOCore
import Testing

@testable import Postgres

private struct Summary: Statement {
  static let name = "Summary"
  static let sql = "SELECT count(*), coalesce(sum(id), 0)::int8, count(DISTINCT name) FROM rows"
  static func decode(_ row: inout RowReader) throws -> [Int64] {
    [try row.next(), try row.next(), try row.next()]
  }
}

private let rows = "CREATE TABLE rows (id int8, name text, at timestamptz)"

private struct Refusal: Error {}

@Suite("COPY")
struct CopyTests {
  @Test("A million rows in, and out again")
  func million() async throws {
    try await TestDatabase.withClient(setup: rows) { client in
      let thousand = ByteBuffer(string: (0..<1000).map { "\($0),some name,2023-01-25T18:13:22Z\n" }.joined())
      let copied = try await client.copyIn("COPY rows FROM STDIN (FORMAT csv)", tenant: nil) { writer in
        for _ in 0..<1000 { try await writer.write(thousand) }
      }
      #expect(copied == 1_000_000)
      try await #expect(client.executeOne(Summary(), tenant: nil) == [1_000_000, 499_500_000, 1])

      let bytes = try await client.copyOut("COPY (SELECT id + 1000000 FROM rows) TO STDOUT", tenant: nil) {
        chunks in
        var bytes = 0
        for try await chunk in chunks {
          #expect(chunk.readableBytes % 8 == 0, "a chunk is whole rows")
          bytes += chunk.readableBytes
        }
        return bytes
      }
      #expect(bytes == 8_000_000)
    }
  }

  @Test("Rows in binary")
  func binaryRows() async throws {
    try await TestDatabase.withClient(setup: rows) { client in
      let copied = try await client.copyIn(
        "COPY rows (id, name, at) FROM STDIN (FORMAT binary)", tenant: nil
      ) { writer in
        for id in 0..<20_000 as Range<Int64> {
          try await writer.writeRow { row in
            row.append(id)
            row.append(id % 2 == 0 ? "even" : nil)
            row.append(PostgresTimestamp(microseconds: id))
          }
        }
      }
      #expect(copied == 20_000)
      try await #expect(client.executeOne(Summary(), tenant: nil) == [20_000, 199_990_000, 1])
    }
  }

  @Test("CSV in chunks that end anywhere")
  func csvInPieces() async throws {
    try await TestDatabase.withClient(setup: rows) { client in
      let csv = (0..<1000).map { "\($0),\"na,me \($0)\",2023-01-25T18:13:22Z\n" }.joined()
      var bytes = ByteBuffer(string: csv)
      let copied = try await client.copyIn("COPY rows FROM STDIN (FORMAT csv)", tenant: nil) { writer in
        while let piece = bytes.readSlice(length: min(7, bytes.readableBytes)), piece.readableBytes > 0 {
          try await writer.write(piece)
        }
      }
      #expect(copied == 1000)
      try await #expect(client.executeOne(Summary(), tenant: nil) == [1000, 499_500, 1000])
    }
  }

  @Test("A body that throws leaves nothing behind, and the connection is used again")
  func bodyThrows() async throws {
    try await TestDatabase.withClient(setup: rows, { $0.leasedConnections = 1 }) { client in
      await #expect(throws: Refusal.self) {
        try await client.copyIn("COPY rows FROM STDIN (FORMAT csv)", tenant: nil) { writer in
          try await writer.write("1,one,2023-01-25T18:13:22Z\n")
          throw Refusal()
        }
      }
      try await #expect(client.executeOne(Summary(), tenant: nil) == [0, 0, 0])
      try await client.copyIn("COPY rows FROM STDIN (FORMAT csv)", tenant: nil) { writer in
        try await writer.write("1,one,2023-01-25T18:13:22Z\n")
      }
      try await #expect(client.executeOne(Summary(), tenant: nil) == [1, 1, 1])
    }
  }

  @Test("A bad row fails the copy with the server's reason")
  func badRow() async throws {
    try await TestDatabase.withClient(setup: rows) { client in
      let error = await #expect(throws: PostgresError.self) {
        try await client.copyIn("COPY rows FROM STDIN (FORMAT csv)", tenant: nil) { writer in
          try await writer.write("1,one,2023-01-25T18:13:22Z\ntwo,two,2023-01-25T18:13:22Z\n")
        }
      }
      #expect(error?.sqlState?.rawValue == "22P02")
      try await #expect(client.executeOne(Summary(), tenant: nil) == [0, 0, 0])
    }
  }

  @Test("A copy that the server has long given up ends when its writer does")
  func errorBeforeEnd() async throws {
    try await TestDatabase.withClient(setup: rows) { client in
      let error = await #expect(throws: PostgresError.self) {
        try await client.copyIn("COPY rows FROM STDIN (FORMAT csv)", tenant: nil) { writer in
          try await writer.write("two,two,2023-01-25T18:13:22Z\n")
          try await writer.flush()
          while try await client.value(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND state = 'idle in transaction (aborted)'
            """, Int64.self) == 0
          {}
        }
      }
      #expect(error?.sqlState?.rawValue == "22P02")
    }
  }

  @Test("What is no COPY, or cannot be, is an error and not a hang")
  func notACopy() async throws {
    try await TestDatabase.withClient { client in
      let misuse = await #expect(throws: PostgresError.self) {
        try await client.copyIn("SELECT 1", tenant: nil) { _ in }
      }
      #expect(misuse?.kind == .misuse)
      let missing = await #expect(throws: PostgresError.self) {
        try await client.copyOut("COPY nothing TO STDOUT", tenant: nil) { _ in }
      }
      #expect(missing?.sqlState == .undefinedTable)
    }
  }

  @Test("A reader that is slow holds the server back: no more than a chunk is kept for it")
  func backpressureOut() async throws {
    try await TestDatabase.withClient { client in
      try await client.copyOut(
        "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO STDOUT", tenant: nil
      ) { chunks in
        var iterator = chunks.makeAsyncIterator()
        let first = try #require(try await iterator.next())
        #expect(first.readableBytes < 128 * 1024)
        // The server has a hundred megabytes to say and waits for us to listen.
        let waits: Int64? = try await client.value(
          """
          SELECT count(*) FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event = 'ClientWrite'
          """)
        // It may still be filling the socket's buffer, in which case it is soon done with that.
        if waits == 0 { _ = try await iterator.next() }
        var total = first.readableBytes
        while let chunk = try await iterator.next() {
          #expect(chunk.readableBytes < 128 * 1024)
          total += chunk.readableBytes
        }
        #expect(total > 99_000_000)
      }
    }
  }

  @Test("Leaving a copy out early is allowed, and costs only the connection")
  func leavingEarly() async throws {
    try await TestDatabase.withClient({ $0.leasedConnections = 1 }) { client in
      for _ in 0..<3 {
        let bytes = try await client.copyOut(
          "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO STDOUT", tenant: nil
        ) { chunks in
          for try await chunk in chunks { return chunk.readableBytes }
          return 0
        }
        #expect(bytes > 0)
      }
    }
  }

  @Test("An error in the middle of a copy out ends the sequence with it")
  func errorMidway() async throws {
    try await TestDatabase.withClient { client in
      var bytes = 0
      let error = await #expect(throws: PostgresError.self) {
        try await client.copyOut(
          "COPY (SELECT 1 / (500000 - g) FROM generate_series(1, 1000000) g) TO STDOUT", tenant: nil
        ) { chunks in
          for try await chunk in chunks { bytes += chunk.readableBytes }
        }
      }
      #expect(error?.sqlState?.rawValue == "22012")
      #expect(bytes > 100_000)
    }
  }

  @Test("Copies and statements take turns in one transaction")
  func mixed() async throws {
    try await TestDatabase.withClient { client in
      let summary = try await client.transaction(tenant: nil) { transaction in
        try await transaction.execute(
          sql: "CREATE TEMPORARY TABLE rows (id int8, name text, at timestamptz) ON COMMIT DROP")
        for start in [1, 4] as [Int64] {
          let copied = try await transaction.copyIn("COPY rows FROM STDIN (FORMAT csv)") { writer in
            for id in start..<start + 3 { try await writer.write("\(id),x,\n") }
          }
          #expect(copied == 3)
        }
        return try await transaction.executeOne(Summary())
      }
      #expect(summary == [6, 21, 1])
    }
  }

  @Test("Values in a COPY command cannot be anything but values")
  func literals() async throws {
    try await TestDatabase.withClient { client in
      let text = #"it's \'; DROP TABLE x; -- ü"#
      let (id, time) = (UUID(high: 1, low: 2), PostgresTimestamp(microseconds: 1_674_670_402_479_220))
      let early = PostgresTimestamp(microseconds: -62_198_755_200_000_001)
      let command: CopyCommand = """
        COPY (SELECT \(text) || \(-5 as Int64)::text || \(id)::text,
          extract(epoch from \(time))::text, (extract(epoch from \(early)) * 1000000)::int8)
        TO STDOUT (FORMAT csv, DELIMITER '|', QUOTE '~')
        """
      let line = try await client.copyOut(command, tenant: nil) { chunks in
        var whole = ByteBuffer()
        for try await chunk in chunks { whole.writeImmutableBuffer(chunk) }
        return String(buffer: whole)
      }
      #expect(line == "\(text)-5\(id)|1674670402.479220|-62198755200000001\n")
    }
  }

  @Test("Cancelling the reader of a copy frees its connection")
  func cancellation() async throws {
    try await TestDatabase.withClient({ $0.leasedConnections = 1 }) { client in
      let isReading = Gate()
      let reader = Task {
        try await client.copyOut(
          "COPY (SELECT repeat('x', 70000), CASE g WHEN 2 THEN pg_sleep(60) END FROM generate_series(1, 2) g) TO STDOUT",
          tenant: nil
        ) { chunks in
          isReading.open()
          for try await _ in chunks {}
        }
      }
      await isReading.wait()
      reader.cancel()
      await #expect(throws: CancellationError.self) { try await reader.value }
      try await client.transaction(tenant: nil, deadline: .now() + .seconds(5)) { transaction in
        try await transaction.execute(sql: "SELECT 1")
      }
    }
  }
}
