import MainstreetAPI
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
      let stores = try await house.stores.listStores(ListStoresRequest(), metadata: TestHouse.principal())
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
        GetStoreRequest(storeId: store.storeId), metadata: TestHouse.principal())
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
      let stores = try await house.stores.listStores(ListStoresRequest(), metadata: TestHouse.principal())
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
      let stores = try await house.stores.listStores(ListStoresRequest(), metadata: TestHouse.principal())
      #expect(stores.message.stores.isEmpty)
    }
  }

  @Test("gzip is recognised by its first bytes; cut short or damaged it is refused and nothing is kept")
  func gzip() async throws {
    try await TestHouse.with(works: false) { house in
      let whole = GzipTests.compressed
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
}
