import Gzip
import MainstreetAPI
import NIOCore
import Postgres
import RPC
import Testing

@testable import StoreSvc

@Suite("Imports")
struct ImportTests {
  @Test("Stores are created on first sight, duplicates are counted, bad rows are named and create nothing")
  func polls() async throws {
    try await TestHouse.with(works: false) { house in
      let summary = try await house.importFile(
        .polls,
        """
        timestamp_utc,store_id,status
        2023-01-22 12:09:39.388884 UTC,one,active
        2023-01-22 12:09:39.388884 UTC,one,active
        2023-01-22 13:00:00 UTC,two,INACTIVE
        2023-01-22 13:00:00 UTC,three,closed
        2023-13-22 13:00:00 UTC,four,active
        2023-01-22T13:00:00Z,five,active
        2023-01-22T13:00:00Z,five
        2999-01-01T00:00:00Z,six,active
        2023-01-22T13:00:00Z,,active

        """)
      #expect(summary.rows == 9 && summary.accepted == 3 && summary.duplicates == 1 && summary.rejected == 5)
      #expect(summary.storesCreated == 3)
      #expect(
        summary.rejectedLines.map { "\($0.line) \($0.code)" } == [
          "5 INVALID_STATUS", "6 INVALID_TIMESTAMP", "8 WRONG_FIELD_COUNT", "9 POLL_IN_FUTURE",
          "10 INVALID_STORE_ID",
        ])
      let stores = try await house.stores.listStores(
        ListStoresRequest(), options: CallOptions(metadata: TestHouse.principal()))
      #expect(Set(stores.message.stores.compactMap(\.externalId)) == ["one", "two", "five"])

      let again = try await house.importFile(
        .polls, "store_id,status,timestamp_utc\none,inactive,2023-01-22 12:09:39.388884 UTC\n")
      #expect(again.accepted == 1 && again.duplicates == 0 && again.storesCreated == 0)
    }
  }

  @Test("A file may name stores by the ids we gave them")
  func ownIDs() async throws {
    try await TestHouse.with(works: false) { house in
      let store = try await house.create()
      let summary = try await house.importFile(
        .timezones, "store_id,timezone_str\r\n\(store.storeId),\"Asia/Tokyo\"\r\n")
      #expect(summary.accepted == 1 && summary.storesCreated == 0)
      let read = try await house.stores.getStore(
        GetStoreRequest(storeId: store.storeId), options: CallOptions(metadata: TestHouse.principal()))
      #expect(read.message.timezone == "Asia/Tokyo")
    }
  }

  @Test("Hours in a file replace those of its stores and of no others")
  func hours() async throws {
    try await TestHouse.with(works: false) { house in
      _ = try await house.importFile(
        .hours, "store_id,dayOfWeek,start_time_local,end_time_local\na,0,09:00,17:00\nb,1,10:00:00,23:59:59\n"
      )
      let second = try await house.importFile(
        .hours,
        "day,store_id,end_time_local,start_time_local\n2,a,18:00,08:00\n2,a,18:00,08:00\n7,a,18:00,08:00\n2,a,25:00,08:00\n"
      )
      #expect(second.accepted == 1 && second.duplicates == 1 && second.rejected == 2)
      #expect(second.rejectedLines.map(\.code) == ["INVALID_DAY", "INVALID_TIME"])
      let stores = try await house.stores.listStores(
        ListStoresRequest(), options: CallOptions(metadata: TestHouse.principal()))
      let hours = Dictionary(
        uniqueKeysWithValues: stores.message.stores.map { ($0.externalId ?? "", $0.businessHours) })
      #expect(hours["a"] == [BusinessHours(dayOfWeek: 2, startTime: "08:00:00", endTime: "18:00:00")])
      #expect(hours["b"] == [BusinessHours(dayOfWeek: 1, startTime: "10:00:00", endTime: "23:59:59")])
    }
  }

  @Test(
    "A file that is not what it should be is refused whole, by name",
    arguments: [
      ("", "IMPORT_NO_HEADER"), ("store_id,status\na,active\n", "IMPORT_COLUMN_MISSING"),
      ("store_id,status,status,timestamp_utc\n", "IMPORT_COLUMN_REPEATED"),
      (
        "store_id,status,timestamp_utc\na,active,2023-01-22 13:00:00 UTC\n\"b,active", "IMPORT_UNCLOSED_QUOTE"
      ),
    ])
  func refused(text: String, code: String) async throws {
    try await TestHouse.with(works: false) { house in
      try await expectReason(code) { try await house.importFile(.polls, text) }
      let stores = try await house.stores.listStores(
        ListStoresRequest(), options: CallOptions(metadata: TestHouse.principal()))
      #expect(stores.message.stores.isEmpty)
    }
  }

  private static func gzip(_ text: String) throws -> [UInt8] {
    var deflater = GzipDeflater()
    var output = [UInt8](repeating: 0, count: text.utf8.count + 64)
    let length = Array(text.utf8).withUnsafeBytes { text in
      output.withUnsafeMutableBytes { deflater.deflate(text, into: $0) }
    }
    return Array(output.prefix(try #require(length)))
  }

  @Test("gzip is recognised by its first bytes; cut short or damaged it is refused and nothing is kept")
  func gzip() async throws {
    try await TestHouse.with(works: false) { house in
      let whole = try Self.gzip("store_id,timezone_str\nx,Europe/Paris\ny,Asia/Tokyo\n")
      let summary = try await house.importFile(.timezones, whole, pieceSize: 1)
      #expect(summary.accepted == 2)
      try await expectReason("IMPORT_GZIP_TRUNCATED") {
        try await house.importFile(.timezones, Array(whole.dropLast(9)))
      }
      var damaged = whole
      damaged[whole.count - 6] ^= 0xFF
      try await expectReason("IMPORT_GZIP_CORRUPT") { try await house.importFile(.timezones, damaged) }
    }
  }

  @Test("Only a hundred refused rows are listed; all are counted")
  func manyRejections() async throws {
    try await TestHouse.with(works: false) { house in
      let rows = String(repeating: "a,sleeping,2023-01-22 13:00:00 UTC\n", count: 250)
      let summary = try await house.importFile(.polls, "store_id,status,timestamp_utc\n" + rows)
      #expect(summary.rejected == 250 && summary.rejectedLines.count == 100)
    }
  }

  @Test("A message larger than what is inflated at once is taken whole")
  func largeMessage() async throws {
    try await TestHouse.with(works: false) { house in
      let rows = (0..<2000).map {
        "a,active,2023-01-22 13:\($0 / 60 % 60 / 10)\($0 / 60 % 10):00.\($0 + 1000)\n"
      }
      let text = Array(("store_id,status,timestamp_utc\n" + rows.joined()).utf8)
      #expect(text.count > 4 * ImportText<PollFile>.largestPiece)
      let summary = try await house.importFile(.polls, text, pieceSize: text.count)
      #expect(summary.rows == 2000 && summary.accepted == 2000)
    }
  }

  @Test("A file past a limit is refused, but stores of refused rows do not count")
  func limits() throws {
    var limits = ImportLimits()
    limits.stores = 2
    limits.rows = 4
    func feed(_ rows: String) throws {
      var text = ImportText(PollFile(latest: Instant(microseconds: .max)), limits: limits)
      var copied = ByteBuffer()
      try text.feed(Array("store_id,status,timestamp_utc\n\(rows)".utf8), into: &copied)
    }
    let good = "active,2023-01-22 13:00:00 UTC\n"
    try feed("a,x,x\nb,x,x\na,\(good)b,\(good)")
    let stores = #expect(throws: RPCError.self) { try feed("a,\(good)b,\(good)c,\(good)") }
    #expect(stores?.reason == "IMPORT_TOO_MANY_STORES")
    let rows = #expect(throws: RPCError.self) { try feed(String(repeating: "a,x,x\n", count: 5)) }
    #expect(rows?.reason == "IMPORT_TOO_MANY_ROWS")
  }

  @Test("A store has at most a hundred opening hours")
  func tooManyHours() async throws {
    try await TestHouse.with(works: false) { house in
      let rows = (0..<101).map { "a,0,09:00:00,17:\($0 / 60)\($0 / 10 % 6):\($0 / 10 % 6)\($0 % 10)\n" }
      let summary = try await house.importFile(
        .hours, "store_id,day,start_time_local,end_time_local\n" + rows.joined())
      #expect(summary.rejectedLines.map(\.code) == ["TOO_MANY_HOURS"])
    }
  }

  @Test("Hours set while a file brings others are replaced, not joined")
  func hoursAtOnce() async throws {
    try await TestHouse.with(works: false) { house in
      let store = try await house.create()
      let id = try #require(UUID(store.storeId))
      try await withThrowingTaskGroup(of: Void.self) { group in
        try await house.postgres.transaction(tenant: TestHouse.tenant) { transaction in
          try await transaction.executeCount(TouchStore(tenant: TestHouse.tenant, id: id, now: .now()))
          group.addTask {
            _ = try await house.importFile(
              .hours, "store_id,day,start_time_local,end_time_local\n\(store.storeId),1,10:00,11:00\n")
          }
          while try await house.superuser.executeOne(IsImportHeldUp(), tenant: nil) != true {}
          let hours = [StoredHours(dayOfWeek: 0, startSecond: 0, endSecond: 60)]
          try await transaction.executeCount(
            InsertHours(tenant: TestHouse.tenant, id: id, hours: hours))
        }
        try await group.waitForAll()
      }
      let read = try await house.stores.getStore(
        GetStoreRequest(storeId: store.storeId), options: CallOptions(metadata: TestHouse.principal())
      ).message
      #expect(read.businessHours.map(\.dayOfWeek) == [1] && read.updatedAt != store.updatedAt)
    }
  }

  @Test("A zone must have its name, not a path to its file", arguments: ["America//Chicago", "posixrules"])
  func oddZones(zone: String) async throws {
    try await TestHouse.with(works: false) { house in
      let summary = try await house.importFile(.timezones, "store_id,timezone_str\na,\(zone)\n")
      #expect(summary.rejectedLines.map(\.code) == ["UNKNOWN_TIMEZONE"])
    }
  }

  @Test("An upload that falls silent is given up, as is one that takes too long")
  func silence() async throws {
    let (never, sender) = AsyncStream.makeStream(of: Int.self)
    var limits = ImportLimits()
    limits.silence = .milliseconds(1)
    let silent = UploadWatch(limits)
    try await expectReason("IMPORT_SILENT") {
      try await silent.run {
        silent.waits()
        for await _ in never {}
      }
    }
    limits.total = .milliseconds(1)
    limits.silence = .seconds(60)
    try await expectReason("IMPORT_TOOK_TOO_LONG") {
      try await UploadWatch(limits).run { try await Task.sleep(for: .seconds(3600)) }
    }
    sender.finish()
  }

  @Test("A tenant may run two imports at once, all of them together four")
  func slots() async throws {
    let slots = ImportSlots()
    let third = UUID(high: 3, low: 3)
    try await slots.withSlot(for: TestHouse.tenant) {
      try await slots.withSlot(for: TestHouse.tenant) {
        try await expectReason("IMPORTS_BUSY") { try await slots.withSlot(for: TestHouse.tenant) { 0 } }
        try await slots.withSlot(for: TestHouse.stranger) {
          try await slots.withSlot(for: TestHouse.stranger) {
            try await expectReason("IMPORTS_BUSY") { try await slots.withSlot(for: third) { 0 } }
          }
        }
      }
      #expect(try await slots.withSlot(for: TestHouse.tenant) { 1 } == 1)
    }
  }
}

/// Or through, which it must not be.
private struct IsImportHeldUp: Statement {
  static let name = "IsImportHeldUp"
  static let sql = """
    SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock')
      OR EXISTS (SELECT 1 FROM store.imports)
    """
  static func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
