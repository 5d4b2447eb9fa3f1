import MainstreetAPI
import NIOCore
import NIOPosix
import RPC
import Schema
import Synchronization
import Testing

@testable import Postgres
@testable import ServiceKit
@testable import StoreSvc

/// CONTRACT.md, "Idempotency", on calls of StoreSvc.
@Suite("Idempotency keys")
struct IdempotencyTests {
  // MARK: Once

  @Test("Twenty calls at once with the same key make one store")
  func twenty() async throws {
    try await TestHouse.with(works: false) { house in
      let answers = await withTaskGroup(of: Result<Store, any Error>.self) { group in
        for _ in 0..<20 {
          group.addTask {
            do { return .success(try await house.create(key: "k", "Corner shop").message) } catch {
              return .failure(error)
            }
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      var stores: Set<String> = []
      for answer in answers {
        switch answer {
        case .success(let store): stores.insert(store.storeId)
        case .failure(let error):
          #expect((error as? RPCError)?.reason == "IDEMPOTENCY_IN_PROGRESS")
          #expect((error as? RPCError)?.code == .aborted)
          #expect((error as? RPCError)?.retryAfter == .seconds(1))
        }
      }
      #expect(stores.count == 1)
      #expect(try await house.count("stores") == 1)
      let again = try await house.create(key: "k", "Corner shop")
      #expect(again.message.storeId == stores.first)
    }
  }

  @Test("The same key gives the first answer again, whatever has happened since, and says so")
  func replays() async throws {
    try await TestHouse.with(works: false) { house in
      let first = try await house.create(key: "k", "Corner shop")
      #expect(first.initialMetadata["idempotency-replayed"] == nil)
      _ = try await house.stores.updateStore(
        UpdateStoreRequest(storeId: first.message.storeId, name: "Sold"),
        options: CallOptions(metadata: TestHouse.principal()))
      let second = try await house.create(key: "k", "Corner shop")
      #expect(second.message == first.message)
      #expect(second.initialMetadata["idempotency-replayed"] == "true")
    }
  }

  @Test("A report that is asked for twice with a key is computed once")
  func reports() async throws {
    try await TestHouse.with(works: false) { house in
      let options = CallOptions(metadata: TestHouse.principal(key: "r"))
      let first = try await house.stores.triggerReport(TriggerReportRequest(), options: options)
      let second = try await house.stores.triggerReport(TriggerReportRequest(), options: options)
      #expect(first.message == second.message)
      #expect(try await house.count("reports") == 1)
      #expect(try await house.count("jobs_ready") == 1)
    }
  }

  @Test("Without a key each call has its effect")
  func withoutKey() async throws {
    try await TestHouse.with(works: false) { house in
      _ = try await house.create("Corner shop")
      _ = try await house.create("Corner shop")
      #expect(try await house.count("stores") == 2)
      #expect(try await house.count("idempotency_keys") == 0)
    }
  }

  @Test("A key with another request is refused, and the first answer stays")
  func reused() async throws {
    try await TestHouse.with(works: false) { house in
      let first = try await house.create(key: "k", "One")
      do {
        _ = try await house.create(key: "k", "Two")
        Issue.record("the second request was let in")
      } catch let error as RPCError {
        #expect(error.reason == "IDEMPOTENCY_KEY_REUSED" && error.code == .failedPrecondition)
      }
      #expect(try await house.create(key: "k", "One").message == first.message)
    }
  }

  @Test("A key is its tenant's, its subject's and its method's own")
  func scopes() async throws {
    try await TestHouse.with(works: false) { house in
      let own = try await house.create(key: "k", "One").message
      let principals = [
        TestHouse.principal(TestHouse.stranger, key: "k"), TestHouse.principal(subject: "other", key: "k"),
      ]
      for metadata in principals {
        let other = try await house.stores.createStore(
          CreateStoreRequest(name: "One"), options: CallOptions(metadata: metadata))
        #expect(other.message.storeId != own.storeId && other.initialMetadata["idempotency-replayed"] == nil)
      }
      _ = try await house.stores.triggerReport(
        TriggerReportRequest(), options: CallOptions(metadata: TestHouse.principal(key: "k")))
      #expect(try await house.count("idempotency_keys") == 4)
    }
  }

  // MARK: Meanwhile, and not at all

  @Test("While the first call runs others are told to come back; if it fails, the next takes its place")
  func inProgress() async throws {
    try await TestHouse.with(works: false) { house in
      struct Failed: Error {}
      let call = KeyedCall(
        tenant: TestHouse.tenant, subject: "account:test",
        method: "/mainstreet.store.v1.StoreService/CreateStore",
        key: "k")
      await #expect(throws: Failed.self) {
        try await house.postgres.transaction(tenant: TestHouse.tenant) { transaction in
          let kept = try await transaction.executeOne(ClaimKey(call: call, at: .now()))
          #expect(kept == nil)
          try await expectReason("IDEMPOTENCY_IN_PROGRESS") { try await house.create(key: "k", "One") }
          throw Failed()
        }
      }
      let first = try await house.create(key: "k", "One")
      #expect(first.initialMetadata["idempotency-replayed"] == nil)
    }
  }

  @Test(
    "What fails leaves neither its effect nor its answer", arguments: [StatusCode.unavailable, .internal])
  func failures(code: StatusCode) async throws {
    try await TestHouse.with(works: false) { house in
      await #expect(throws: RPCError(code, "no")) {
        try await house.once(key: "k") { transaction in
          _ = try await transaction.executeOne(Self.insert("half done"))
          throw RPCError(code, "no")
        }
      }
      #expect(try await house.count("stores") == 0)
      #expect(try await house.count("idempotency_keys") == 0)
      _ = try await house.once(key: "k") { try #require(await $0.executeOne(Self.insert("done"))) }
      #expect(try await house.count("stores") == 1)
    }
  }

  @Test("A request that is not valid leaves its key unused")
  func validation() async throws {
    try await TestHouse.with(works: false) { house in
      let metadata = TestHouse.principal(key: "k")
      try await expectReason("VALIDATION_FAILED") {
        try await house.stores.createStore(
          CreateStoreRequest(name: "One", timezone: "localtime"), options: CallOptions(metadata: metadata))
      }
      // This one only the database can tell.
      try await expectReason("STORE_NOT_FOUND") {
        try await house.stores.triggerReport(
          TriggerReportRequest(storeIds: ["\(TestHouse.stranger)"]), options: CallOptions(metadata: metadata))
      }
      #expect(try await house.count("idempotency_keys") == 0)
      _ = try await house.create(key: "k", "One")
    }
  }

  @Test("A conflict is the answer, also when it is gone; what was done before it is undone")
  func conflicts() async throws {
    try await TestHouse.with(works: false) { house in
      let holder = try await house.create(externalID: "x")
      func conflicting() async throws -> RPCError? {
        do {
          _ = try await house.stores.createStore(
            CreateStoreRequest(name: "Two", externalId: "x"),
            options: CallOptions(metadata: TestHouse.principal(key: "k")))
          return nil
        } catch let error as RPCError { return error }
      }
      let first = try await conflicting()
      #expect(first?.reason == "STORE_EXTERNAL_ID_TAKEN" && first?.details == ["externalId": "x"])
      _ = try await house.stores.deleteStore(
        DeleteStoreRequest(storeId: holder.storeId), options: CallOptions(metadata: TestHouse.principal()))
      let second = try await conflicting()
      #expect(second?.code == .alreadyExists && second?.message == first?.message)
      #expect(second?.details == ["externalId": "x", "idempotencyReplayed": "true"])

      await #expect(throws: RPCError.self) {
        try await house.once(key: "other") { transaction in
          _ = try await transaction.executeOne(Self.insert("before the conflict"))
          throw RPCError(.failedPrecondition, "no")
        }
      }
      #expect(try await house.count("stores") == 0)
      #expect(try await house.count("idempotency_keys") == 2)
    }
  }

  @Test("Keys that are empty, too long or not printable are refused", arguments: ["", "a\u{7f}", "ü"])
  func badKeys(key: String) async throws {
    try await TestHouse.with(works: false) { house in
      for key in [key, String(repeating: "k", count: 256)] {
        let refusal = await #expect(throws: RPCError.self) {
          try await house.once(key: key) { try #require(await $0.executeOne(Self.insert("one"))) }
        }
        #expect(refusal?.reason == "INVALID_IDEMPOTENCY_KEY")
      }
      _ = try await house.create(key: String(repeating: "k", count: 255), "One")
      #expect(try await house.count("stores") == 1)
    }
  }

  @Test("Where the contract requires a key, a call without one is refused")
  func required() async throws {
    try await TestHouse.with(works: false, contract: .requiringKeys) { house in
      try await expectReason("IDEMPOTENCY_KEY_REQUIRED") { try await house.create("One") }
      _ = try await house.create(key: "k", "One")
      #expect(try await house.count("stores") == 1)
    }
  }

  @Test("Who does not say who they are has no key to call their own")
  func anonymous() async throws {
    try await TestHouse.with(works: false) { house in
      let context = house.context(key: "k", isAnonymous: true)
      try await expectReason("IDEMPOTENCY_KEY_UNSUPPORTED") {
        try await house.idempotency.once(CreateStoreRequest(), context, tenant: TestHouse.tenant) { _ in
          Store(name: "One")
        }
      }
    }
  }

  // MARK: Keeping

  @Test("After 24 hours a key is new, and what it had is deleted with what else has expired")
  func expiry() async throws {
    let day: Int64 = 24 * 3600 * 1_000_000
    // Its first calls are a day ago, for Postgres' own clock decides what may be deleted.
    let clock = Mutex(PostgresTimestamp(microseconds: PostgresTimestamp.now().microseconds - day - 1_000_000))
    @Sendable func advance(by microseconds: Int64) {
      clock.withLock { $0 = PostgresTimestamp(microseconds: $0.microseconds + microseconds) }
    }
    try await TestHouse.with(works: false, now: { clock.withLock { $0 } }) { house in
      let first = try await house.create(key: "k", "One").message
      _ = try await house.create(key: "other", "Two")
      advance(by: day - 1)
      #expect(try await house.create(key: "k", "One").message == first)
      advance(by: 1)
      let second = try await house.create(key: "k", "Another").message
      #expect(second.storeId != first.storeId)
      #expect(try await house.create(key: "k", "Another").message == second)
      #expect(try await house.count("idempotency_keys") == 2)
      try await house.idempotency.sweep()
      #expect(try await house.count("idempotency_keys") == 1)
      #expect(try await house.create(key: "k", "Another").message == second)
    }
  }

  @Test("An answer that holds a secret is kept so that the database does not tell it")
  func sealed() async throws {
    try await TestHouse.with(works: false) { house in
      let make: @Sendable (Transaction) async throws -> Store = { _ in
        Store(name: "msk_live_secret")
      }
      let first = try await house.once(key: "k", holdsSecret: true, make)
      #expect(first.name == "msk_live_secret")
      let kept = try await house.superuser.execute(KeptAnswers(), tenant: nil)
      #expect(kept.count == 1 && kept.allSatisfy { !String(buffer: $0).contains("secret") })
      let again = try await house.once(key: "k", holdsSecret: true) { _ in Store(name: "other") }
      #expect(again.name == "msk_live_secret")
      // Another process that was not told the same secret does not make up an answer.
      let stranger = Idempotency(
        postgres: house.postgres, contract: try .init(serialized: descriptorSet), secret: .random(),
        logger: .quiet)
      await #expect(throws: (any Error).self) {
        try await house.once(key: "k", holdsSecret: true, by: stranger) { _ in Store(name: "other") }
      }
    }
  }

  @Test("Headers that the operation set are part of the answer")
  func metadata() async throws {
    try await TestHouse.with(works: false) { house in
      let first = house.context(key: "k")
      _ = try await house.idempotency.once(CreateStoreRequest(), first, tenant: TestHouse.tenant) { _ in
        first.setInitialMetadata("http-status", "202")
        return Store(name: "One")
      }
      let second = house.context(key: "k")
      _ = try await house.idempotency.once(CreateStoreRequest(), second, tenant: TestHouse.tenant) { _ in
        Store(name: "Two")
      }
      #expect(second.initialMetadata["http-status"] == "202")
    }
  }

  @Test("An answer that is too large to be kept undoes its effect")
  func largeAnswers() async throws {
    try await TestHouse.with(works: false) { house in
      let most = Idempotency.mostAnswerBytes
      // Store {name 2}: a tag, a length of three bytes.
      _ = try await house.once(key: "fits") { _ in Store(name: String(repeating: "x", count: most - 4)) }
      let refusal = await #expect(throws: RPCError.self) {
        try await house.once(key: "k") { transaction in
          _ = try await transaction.executeOne(Self.insert("lost"))
          return Store(name: String(repeating: "x", count: most - 3))
        }
      }
      #expect(refusal?.code == .internal)
      #expect(try await house.count("stores") == 0)
    }
  }

  @Sendable private static func insert(_ name: String) -> InsertStore {
    InsertStore(
      tenant: TestHouse.tenant, id: .v7(now: .now()), name: name, timezone: "Etc/UTC", externalID: nil,
      now: .now())
  }
}

extension TestHouse {
  fileprivate static func principal(
    _ tenant: UUID = tenant, subject: String = "account:test", key: String
  ) -> Metadata {
    var metadata = principal(tenant, subject: subject)
    metadata["idempotency-key"] = key
    return metadata
  }

  fileprivate func create(key: String, _ name: String) async throws -> ClientResponse<Store> {
    try await stores.createStore(
      CreateStoreRequest(name: name), options: CallOptions(metadata: Self.principal(key: key)))
  }

  fileprivate func context(key: String, isAnonymous: Bool = false) -> CallContext {
    let context = CallContext(
      method: "/mainstreet.store.v1.StoreService/CreateStore", metadata: ["idempotency-key": key],
      deadline: nil,
      eventLoop: MultiThreadedEventLoopGroup.singleton.any(), peer: nil)
    let claims = PrincipalClaims(
      tenantId: "\(Self.tenant)", subject: "account:test", roles: ["owner"],
      expiresAt: Timestamp(seconds: .max))
    if !isAnonymous, let principal = Principal(claims) { context.identify(caller: principal) }
    return context
  }

  /// An operation of the test's own.
  fileprivate func once(
    key: String, holdsSecret: Bool = false, by idempotency: Idempotency? = nil,
    _ body: (Transaction) async throws -> Store
  ) async throws -> Store {
    try await (idempotency ?? self.idempotency).once(
      CreateStoreRequest(), context(key: key), tenant: Self.tenant, holdsSecret: holdsSecret, body)
  }

  fileprivate func count(_ table: String) async throws -> Int {
    let found = try await superuser.transaction(tenant: nil) {
      try await $0.execute(Count(), sql: "SELECT count(*) FROM store.\(table)")
    }
    return Int(found.first ?? -1)
  }
}

private struct Count: Statement {
  static let name = "Count"
  static let sql = ""
  static func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

private struct KeptAnswers: Statement {
  static let name = "KeptAnswers"
  static let sql = "SELECT answer FROM store.idempotency_keys"
  static func decode(_ row: inout RowReader) throws -> ByteBuffer { try row.next() }
}

extension [UInt8] {
  /// The contract, with every key it accepts required: `success_status: 201` and what follows it.
  fileprivate static var requiringKeys: [UInt8] {
    var bytes = descriptorSet
    let accepted: [UInt8] = [0x30, 0xc9, 0x01, 0x38, 0x01]
    for start in 0..<bytes.count - accepted.count
    where bytes[start..<start + accepted.count].elementsEqual(accepted) {
      bytes[start + 4] = 0x02
    }
    return bytes
  }
}
