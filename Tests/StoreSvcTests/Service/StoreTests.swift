import MainstreetAPI
import Postgres
import RPC
import Testing

@testable import StoreSvc

@Suite("Stores")
struct StoreTests {
  @Test("A store is created, read, changed, listed and deleted")
  func lifeOfAStore() async throws {
    try await TestHouse.with(works: false) { house in
      let principal = TestHouse.principal()
      let created = try await house.create("Bäckerei", externalID: "b-1", timezone: "Europe/Berlin")
      let read = try await house.stores.getStore(
        GetStoreRequest(storeId: created.storeId), options: CallOptions(metadata: principal))
      #expect(read.message == created)
      #expect(created.timezone == "Europe/Berlin" && created.externalId == "b-1")

      let changed = try await house.stores.updateStore(
        UpdateStoreRequest(storeId: created.storeId, name: "Konditorei"),
        options: CallOptions(metadata: principal)
      ).message
      #expect(changed.name == "Konditorei" && changed.timezone == "Europe/Berlin")

      _ = try await house.stores.deleteStore(
        DeleteStoreRequest(storeId: created.storeId), options: CallOptions(metadata: principal))
      try await expectReason("STORE_NOT_FOUND") {
        try await house.stores.getStore(
          GetStoreRequest(storeId: created.storeId), options: CallOptions(metadata: principal))
      }
    }
  }

  @Test("A store without a zone is in Chicago, and open around the clock")
  func defaults() async throws {
    try await TestHouse.with(works: false) { house in
      let store = try await house.create()
      #expect(store.timezone == "America/Chicago" && store.businessHours.isEmpty && store.externalId == nil)
    }
  }

  @Test("An external id belongs to one store of a tenant")
  func externalID() async throws {
    try await TestHouse.with(works: false) { house in
      _ = try await house.create(externalID: "one")
      let other = try await house.create(externalID: "two")
      try await expectReason("STORE_EXTERNAL_ID_TAKEN") { try await house.create(externalID: "one") }
      try await expectReason("STORE_EXTERNAL_ID_TAKEN") {
        try await house.stores.updateStore(
          UpdateStoreRequest(storeId: other.storeId, externalId: "one"),
          options: CallOptions(metadata: TestHouse.principal()))
      }
      _ = try await house.stores.createStore(
        CreateStoreRequest(name: "elsewhere", externalId: "one"),
        options: CallOptions(metadata: TestHouse.principal(TestHouse.stranger)))
    }
  }

  @Test(
    "Zones that are not in the database of zones are refused",
    arguments: ["Mars/Olympus", "../../etc/passwd", "right/Europe/London", "localtime", "EST5EDT,M3.2.0"])
  func unknownZones(zone: String) async throws {
    try await TestHouse.with(works: false) { house in
      _ = await #expect(throws: RPCError.self) { try await house.create(timezone: zone) }
    }
  }

  @Test("A tenant neither sees nor touches the stores of another")
  func tenants() async throws {
    try await TestHouse.with(works: false) { house in
      let store = try await house.create()
      let stranger = TestHouse.principal(TestHouse.stranger)
      let id = store.storeId
      try await expectReason("STORE_NOT_FOUND") {
        try await house.stores.getStore(
          GetStoreRequest(storeId: id), options: CallOptions(metadata: stranger))
      }
      try await expectReason("STORE_NOT_FOUND") {
        try await house.stores.updateStore(
          UpdateStoreRequest(storeId: id, name: "mine"), options: CallOptions(metadata: stranger))
      }
      try await expectReason("STORE_NOT_FOUND") {
        try await house.stores.deleteStore(
          DeleteStoreRequest(storeId: id), options: CallOptions(metadata: stranger))
      }
      #expect(
        try await house.stores.listStores(ListStoresRequest(), options: CallOptions(metadata: stranger))
          .message.stores.isEmpty)
      #expect(
        try await house.stores.getStore(
          GetStoreRequest(storeId: id), options: CallOptions(metadata: TestHouse.principal())
        ).message
          == store)
    }
  }

  @Test("Pages of a list follow each other without gap or overlap")
  func pages() async throws {
    try await TestHouse.with(works: false) { house in
      var created: Set<String> = []
      for number in 0..<7 { created.insert(try await house.create("store \(number)").storeId) }
      var seen: [String] = []
      var cursor = ""
      repeat {
        let page = try await house.stores.listStores(
          ListStoresRequest(limit: 3, cursor: cursor), options: CallOptions(metadata: TestHouse.principal())
        ).message
        #expect(page.stores.count <= 3)
        seen += page.stores.map(\.storeId)
        cursor = page.nextCursor ?? ""
      } while !cursor.isEmpty
      #expect(seen.count == 7 && Set(seen) == created)
    }
  }

  @Test("A cursor that this list did not give its tenant is refused, and the field named")
  func foreignCursors() async throws {
    try await TestHouse.with(works: false) { house in
      for number in 0..<3 { _ = try await house.create("store \(number)") }
      func list(_ cursor: String, as tenant: UUID = TestHouse.tenant) async throws -> ListStoresResponse {
        try await house.stores.listStores(
          ListStoresRequest(limit: 2, cursor: cursor),
          options: CallOptions(metadata: TestHouse.principal(tenant))
        ).message
      }
      let cursor = try #require(try await list("").nextCursor)
      #expect(try await list(cursor).stores.count == 1)
      var changed = Array(cursor)
      changed[0] = changed[0] == "A" ? "B" : "A"
      for (cursor, tenant) in [
        (String(changed), TestHouse.tenant), (cursor, TestHouse.stranger), ("s1-x", TestHouse.tenant),
      ] {
        try await expectReason("INVALID_CURSOR") { try await list(cursor, as: tenant) }
        #expect(try await violations { try await list(cursor, as: tenant) } == ["cursor"])
      }
    }
  }

  @Test("Hours are told as they were entered, and replaced as a whole")
  func hours() async throws {
    try await TestHouse.with(works: false) { house in
      let principal = TestHouse.principal()
      let store = try await house.create()
      func set(_ hours: [BusinessHours]) async throws -> [BusinessHours] {
        try await house.stores.setBusinessHours(
          SetBusinessHoursRequest(storeId: store.storeId, hours: hours),
          options: CallOptions(metadata: principal)
        ).message.hours
      }
      let entered = [
        BusinessHours(dayOfWeek: 0, startTime: "09:00", endTime: "24:00"),
        BusinessHours(dayOfWeek: 6, startTime: "22:30:00", endTime: "02:00"),
        BusinessHours(dayOfWeek: 0, startTime: "09:00", endTime: "24:00"),
      ]
      let told = [
        BusinessHours(dayOfWeek: 0, startTime: "09:00:00", endTime: "24:00:00"),
        BusinessHours(dayOfWeek: 6, startTime: "22:30:00", endTime: "02:00:00"),
      ]
      #expect(try await set(entered) == told)
      let read = try await house.stores.getBusinessHours(
        GetBusinessHoursRequest(storeId: store.storeId), options: CallOptions(metadata: principal))
      #expect(read.message.hours == told)
      #expect(try await set([told[1]]) == [told[1]])
      #expect(try await set([]) == [])
      let unknown = SetBusinessHoursRequest(storeId: "\(TestHouse.stranger)", hours: entered)
      try await expectReason("STORE_NOT_FOUND") {
        try await house.stores.setBusinessHours(unknown, options: CallOptions(metadata: principal))
      }
    }
  }

  @Test("Who waits for another's lock is told to try again, and keeps nobody behind it waiting")
  func locked() async throws {
    try await TestHouse.with(works: false) { house in
      let store = try await house.create()
      let id = try #require(UUID(store.storeId))
      try await house.postgres.transaction(tenant: TestHouse.tenant) { transaction in
        try await transaction.executeCount(TouchStore(tenant: TestHouse.tenant, id: id, now: .now()))
        try await expectReason("CONFLICT") {
          try await house.stores.updateStore(
            UpdateStoreRequest(storeId: store.storeId, name: "x"),
            options: CallOptions(metadata: TestHouse.principal()))
        }
      }
      _ = try await house.stores.deleteStore(
        DeleteStoreRequest(storeId: store.storeId), options: CallOptions(metadata: TestHouse.principal()))
    }
  }
}
