import MainstreetAPI
import NIOCore
import Schema
import Testing

@testable import Edge

@Suite struct OpenAPITests {
  private static let contract: DescriptorSet = {
    do { return try DescriptorSet(serialized: descriptorSet) } catch { preconditionFailure("\(error)") }
  }()
  private static let services: Set = [
    "mainstreet.identity.v1.IdentityService", "mainstreet.store.v1.StoreService",
  ]

  private static func document() throws -> JSONObject {
    try OpenAPI.document(of: contract, services: services)
  }

  private static func text(_ value: JSONValue?) -> String {
    var out = ByteBuffer()
    if let value { out.writeJSON(value) }
    return String(buffer: out)
  }

  /// The text of what stands at the end of a path of names.
  private static func text(_ path: String..., in document: JSONObject) -> String {
    var value = JSONValue.object(document)
    for name in path {
      guard case .object(let object) = value, let next = object[name] else { return "nothing at \(name)" }
      value = next
    }
    return text(value)
  }

  @Test("The same contract makes the same text")
  func deterministic() throws {
    let first = Self.text(.object(try Self.document()))
    #expect(first == Self.text(.object(try Self.document())))
    #expect(JSONScannerTests.check(Array(first.utf8)) == nil)
  }

  @Test("Every route of the services is described, and nothing else")
  func complete() throws {
    guard case .object(let paths)? = try Self.document()["paths"] else {
      Issue.record("no paths")
      return
    }
    var described: [String] = []
    for (path, item) in paths.members {
      guard case .object(let operations) = item else { continue }
      described += operations.members.map { "\($0.name) \(path)" }
    }
    let routes = Self.contract.services.filter { Self.services.contains($0.fullName) }
      .flatMap(\.methods).flatMap(\.routes)
    // Variables are named as in JSON; their number and place are the same.
    let expected = routes.map { "\($0.method.lowercased()) \($0.template.source)" }
    func withoutNames(_ lines: [String]) -> [String] {
      lines.map { $0.replacing(/\{\w+\}/, with: "{}") }.sorted()
    }
    #expect(withoutNames(described) == withoutNames(expected))
    #expect(described.contains("get /stores/{storeId}/hours"))
  }

  @Test("An operation says what it takes, who may call it and what may go wrong")
  func operation() throws {
    let document = try Self.document()
    func operation(_ name: String) -> String { Self.text("paths", "/stores", "post", name, in: document) }
    #expect(operation("operationId") == #""createStore""#)
    #expect(operation("tags") == #"["Store"]"#)
    #expect(operation("summary") == #""Creates a store""#)
    #expect(operation("security") == #"[{"apiKey":[]},{"bearer":[]}]"#)
    #expect(operation("x-roles") == #"["owner","admin","manager","staff"]"#)
    #expect(operation("x-scopes") == #"["stores.write"]"#)
    #expect(operation("x-rate-class") == #""write""#)
    #expect(operation("description").contains("for API keys with scope `stores.write`"))
    guard case .object(let responses)? = Self.value("paths", "/stores", "post", "responses", in: document)
    else {
      Issue.record("no responses")
      return
    }
    #expect(
      responses.members.map(\.name) == ["201", "400", "401", "403", "409", "413", "415", "422", "429", "5XX"])
  }

  @Test("What makes something leads to what can be done with it")
  func links() throws {
    let document = try Self.document()
    #expect(
      Self.text("paths", "/trigger_report", "post", "responses", "201", "links", "getReport", in: document)
        == ##"{"operationId":"getReport","parameters":{"reportId":"$response.body#/reportId"}}"##)
    #expect(
      Self.text("paths", "/stores/{storeId}", "get", "responses", "200", "links", in: document)
        == "nothing at links")
  }

  @Test("A call that takes an idempotency key says so")
  func idempotencyKey() throws {
    let document = try Self.document()
    let parameters = Self.text("paths", "/stores", "post", "parameters", in: document)
    #expect(parameters.contains(#""name":"Idempotency-Key","in":"header","required":false"#))
    #expect(
      Self.text("paths", "/stores/{storeId}/status", "post", "responses", "422", in: document)
        == "nothing at 422")
  }

  @Test("What everyone may call needs no credential and is not refused for one")
  func publicOperation() throws {
    let document = try Self.document()
    #expect(Self.text("paths", "/auth/login", "post", "security", in: document) == "[]")
    #expect(Self.text("paths", "/auth/login", "post", "responses", "401", in: document) == "nothing at 401")
    #expect(
      Self.text("paths", "/auth/logout", "post", "responses", "204", "content", in: document)
        == "nothing at content")
  }

  @Test(
    "Rules become keywords",
    arguments: [
      (
        "CreateStoreRequest", "name",
        #"{"type":"string","minLength":1,"maxLength":200,"description":"Name for people."}"#
      ),
      (
        "BusinessHoursInput", "dayOfWeek",
        #"{"type":"integer","format":"int32","minimum":0,"maximum":6,"description":"0 is Monday, 6 is Sunday."}"#
      ),
      (
        "RecordPollRequest", "status",
        ##"{"$ref":"#/components/schemas/PollStatusChosen","description":"What was seen."}"##
      ),
      (
        "CreateStoreRequest", "timezone",
        ##"{"anyOf":[{"$ref":"#/components/schemas/TimeZone"},{"type":"null"}],"description":"IANA time zone; `America/Chicago` unless told."}"##
      ),
      (
        "UpdateTenantRequest", "settings",
        #"{"type":["object","null"],"additionalProperties":true,"description":"New settings, a JSON object of at most 16 KiB."}"#
      ),
    ])
  func rules(message: String, field: String, schema: String) throws {
    #expect(
      Self.text("components", "schemas", message, "properties", field, in: try Self.document()) == schema)
  }

  @Test("A request may hold nothing else; an answer holds every scalar and list")
  func uses() throws {
    let document = try Self.document()
    func schema(_ names: String...) -> String {
      Self.text(Self.value(names: ["components", "schemas"] + names, in: document))
    }
    #expect(schema("CreateStoreRequest", "required") == #"["name"]"#)
    #expect(schema("CreateStoreRequest", "additionalProperties") == "false")
    #expect(schema("Store", "required") == #"["storeId","name","timezone","businessHours"]"#)
    #expect(schema("Store", "additionalProperties") == "")
    #expect(schema("BusinessHoursInput", "additionalProperties") == "false")
    #expect(schema("UpdateStoreRequest", "properties", "storeId") == "")
    #expect(schema("ImportSummary", "properties", "rows", "type") == #"["integer","string"]"#)
  }

  @Test("Of a oneof, at most one member")
  func oneofs() throws {
    var schemas = OpenAPISchemas(SampleSchema.set, describing: [])
    #expect(
      Self.text(.object(try schemas.reference(to: "t.Sample", .request)))
        == ##"{"$ref":"#/components/schemas/Sample"}"##)
    #expect(
      Self.text("Sample", "allOf", in: schemas.components)
        == #"[{"oneOf":[{"required":["left"]},{"required":["right"]},{"not":{"anyOf":[{"required":["left"]},{"required":["right"]}]}}]}]"#
    )
    #expect(
      Self.text("Sample", "properties", "maybe", "type", in: schemas.components) == #"["integer","null"]"#)
    #expect(
      Self.text("Sample", "properties", "ubig", "maximum", in: schemas.components) == "18446744073709551615")
    #expect(Self.text("Sample", "properties", "usmall", "maximum", in: schemas.components) == "4294967295")
    #expect(
      Self.text("Sample", "properties", "zag", "minimum", in: schemas.components) == "-9223372036854775808")
    #expect(
      Self.text("Sample", "properties", "blob", "contentEncoding", in: schemas.components) == #""base64""#)
  }

  private static func value(_ path: String..., in document: JSONObject) -> JSONValue? {
    value(names: path, in: document)
  }

  private static func value(names: [String], in document: JSONObject) -> JSONValue? {
    var value: JSONValue? = .object(document)
    for name in names {
      guard case .object(let object)? = value else { return nil }
      value = object[name]
    }
    return value
  }
}
