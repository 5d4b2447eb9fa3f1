import MainstreetAPI
import Schema
import Testing

/// The embedded descriptor set, read as the Edge reads it.
@Suite struct ContractTests {
  private let contract: DescriptorSet

  init() throws {
    contract = try DescriptorSet(serialized: MainstreetAPI.descriptorSet)
  }

  private func method(_ name: String) throws -> MethodDescriptor {
    let service = try #require(contract.services.first { $0.fullName == "mainstreet.store.v1.StoreService" })
    return try #require(service.methods.first { $0.name == name })
  }

  @Test(
    "Routes, bodies and statuses are read from the options",
    arguments: [
      ("CreateStore", "POST /stores", HTTPRoute.Body.whole, 201),
      ("GetStore", "GET /stores/{store_id}", .none, 200),
      ("DeleteStore", "DELETE /stores/{store_id}", .none, 204),
      ("SetBusinessHours", "PUT /stores/{store_id}/hours", .field("hours"), 200),
      ("ImportPolls", "POST /imports/polls", .whole, 200),
      ("DownloadReport", "GET /get_report/{report_id}", .none, 200),
    ])
  func routes(name: String, route: String, body: HTTPRoute.Body, status: Int) throws {
    let method = try method(name)
    let first = try #require(method.routes.first)
    #expect("\(first.method) \(first.template.source)" == route)
    #expect(first.body == body)
    #expect(method.access?.successStatus == status)
  }

  @Test("Additional bindings follow the first route")
  func additionalBindings() throws {
    #expect(try method("TriggerReport").routes.map(\.template.source) == ["/trigger_report", "/reports"])
    #expect(try method("SetBusinessHours").routes.first?.responseBody == "hours")
  }

  @Test("Every rpc says who may call it, and every one with a route how it counts")
  func access() {
    for method in contract.services.flatMap(\.methods) {
      #expect(method.access != nil)
      #expect(method.routes.isEmpty || method.access?.rateClass != nil)
    }
  }

  @Test("What creates something for somebody takes an idempotency key, and what is idempotent needs none")
  func idempotencyKeys() throws {
    // Open to everyone: there is nobody whose key it would be. What gives a secret and is not listed here must say that
    // its answer holds one.
    let open = ["CreateTenant", "Register", "AcceptInvitation"]
    // Identity's, until it keeps answers.
    let missing = ["CreateApiKey", "RotateApiKey", "CreateInvitation"]
    for method in contract.services.flatMap(\.methods) where !method.routes.isEmpty {
      let access = try #require(method.access)
      let creates = access.successStatus == 201 && !access.isIdempotent
      let takes = access.idempotencyKey != .passedOver
      #expect(takes == (creates && !(open + missing).contains(method.name)), "\(method.path)")
    }
  }

  @Test("How old an answer may be is read from the options, and nothing that is changed is kept")
  func caching() throws {
    let methods = contract.services.flatMap(\.methods)
    let keySet = try #require(methods.first { $0.name == "GetKeySet" }?.access?.caching)
    #expect(keySet.freshSeconds == 10 && keySet.staleSeconds == 60)
    for method in methods where method.access?.caching != nil {
      #expect(method.access?.isIdempotent == true && method.routes.allSatisfy { $0.method == "GET" })
    }
  }

  @Test("Rules are read from the options, also where several lines add up")
  func rules() throws {
    let create = try #require(contract.message("mainstreet.store.v1.CreateStoreRequest"))
    #expect(
      create.field(named: "name")?.rules
        == FieldRules(isRequired: true, value: .string(StringRules(maxLength: 200))))
    #expect(create.field(named: "timezone")?.rules?.value == .string(StringRules(shape: .ianaZone)))
    let hours = try #require(contract.message("mainstreet.store.v1.BusinessHours"))
    #expect(
      hours.field(named: "dayOfWeek")?.rules
        == FieldRules(isRequired: true, value: .int(NumberRules(lower: .atLeast(0), upper: .atMost(6)))))
  }

  @Test("A field is found by number, JSON name and proto name")
  func fields() throws {
    let report = try #require(contract.message("mainstreet.store.v1.TriggerReportRequest"))
    let stores = try #require(report.field(number: 2))
    #expect(stores.name == "store_ids")
    #expect(stores.jsonName == "stores")
    #expect(stores.cardinality == .repeated)
    #expect(report.field(named: "stores")?.number == 2)
    #expect(report.field(named: "store_ids")?.number == 2)
    #expect(report.field(named: "storeIds") == nil)
    #expect(report.field(number: 1)?.kind == .message("google.protobuf.Timestamp"))
  }

  @Test("Presence: optional and messages know it, scalars do not")
  func presence() throws {
    let store = try #require(contract.message("mainstreet.store.v1.Store"))
    #expect(store.field(named: "external_id")?.cardinality == .explicit)
    #expect(store.field(named: "external_id")?.oneofIndex == nil)
    #expect(store.field(named: "name")?.cardinality == .implicit)
    #expect(store.field(named: "created_at")?.cardinality == .explicit)
    #expect(store.oneofs.isEmpty)
    #expect(contract.message("google.api.HttpRule")?.oneofs.map(\.name) == ["pattern"])
  }

  @Test("Enum values have JSON names without the prefix, and any case finds them")
  func enums() throws {
    let status = try #require(contract.enumeration("mainstreet.store.v1.PollStatus"))
    #expect(status.values.map(\.jsonName) == ["unspecified", "active", "inactive"])
    #expect(status.value(named: "Active")?.number == 1)
    #expect(status.value(named: "POLL_STATUS_INACTIVE")?.number == 2)
    #expect(status.value(named: "gone") == nil)
    let health = try #require(contract.enumeration("grpc.health.v1.HealthCheckResponse.ServingStatus"))
    #expect(health.values.map(\.jsonName) == ["unknown", "serving", "not_serving", "service_unknown"])
    #expect(health.nesting == ["HealthCheckResponse"])
  }

  @Test("Everything a caller can see is explained")
  func comments() {
    for file in contract.files where file.package.hasPrefix("mainstreet.") {
      for message in file.messages {
        #expect(!message.comment.isEmpty, "\(message.fullName)")
        for field in message.fields { #expect(!field.comment.isEmpty, "\(message.fullName).\(field.name)") }
      }
      for enumeration in file.enums {
        #expect(!enumeration.comment.isEmpty, "\(enumeration.fullName)")
        for value in enumeration.values { #expect(!value.comment.isEmpty, "\(value.name)") }
      }
      for service in file.services {
        #expect(!service.comment.isEmpty, "\(service.fullName)")
        for method in service.methods { #expect(!method.comment.isEmpty, "\(method.path)") }
      }
    }
    #expect(contract.message("mainstreet.store.v1.Store")?.comment == "A shop whose being open is watched.")
  }
}
