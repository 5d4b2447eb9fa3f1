import Foundation
import Schema
import Testing

@testable import protogen

/// Protos the generator must not take, compiled by the real protoc.
@Suite struct RefusalTests {
  private static let access =
    "option (mainstreet.options.v1.access) = {public: true, rate_class: RATE_CLASS_QUERY};"

  /// The error for a proto with this text, or nil when it is taken.
  private func refusal(_ text: String) throws -> String? {
    let directory = FileManager.default.temporaryDirectory.appending(path: "protogen-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let header = """
      syntax = "proto3";
      package shop.v1;
      import "buf/validate/validate.proto";
      import "google/api/annotations.proto";
      import "mainstreet/options/v1/access.proto";
      import "mainstreet/options/v1/rules.proto";

      """
    try Data((header + text).utf8).write(to: directory.appending(path: "shop.proto"))
    let protos = URL(filePath: #filePath).appending(path: "../../../../proto").standardized.path
    let set = directory.appending(path: "set").path
    let protoc = Process()
    protoc.executableURL = URL(filePath: "/usr/bin/env")
    protoc.arguments = [
      "protoc", "-I\(directory.path)", "-I\(protos)", "--include_imports", "-o", set, "shop.proto",
    ]
    protoc.standardError = FileHandle.nullDevice
    try protoc.run()
    protoc.waitUntilExit()
    try #require(protoc.terminationStatus == 0, "protoc refused it first")
    let serialized = [UInt8](try Data(contentsOf: URL(filePath: set)))
    do throws(SchemaError) {
      _ = try Contract(serialized: serialized)
      return nil
    } catch {
      return error.message
    }
  }

  private func service(_ rpc: String, _ messages: String = "message Ask { string id = 1; }") -> String {
    "service Shop { \(rpc) }\n\(messages)"
  }

  @Test("A plain rpc is taken")
  func plain() throws {
    #expect(try refusal(service("rpc Get(Ask) returns (Ask) { \(Self.access) }")) == nil)
  }

  @Test("An rpc that does not say who may call it is refused")
  func noAccess() throws {
    #expect(
      try refusal(service("rpc Get(Ask) returns (Ask);"))
        == "/shop.v1.Shop/Get has no (mainstreet.options.v1.access): every rpc must say who may call it")
  }

  @Test("Access is either public or names someone", arguments: ["{}", "{public: true, roles: [\"owner\"]}"])
  func contradictoryAccess(access: String) throws {
    #expect(
      try refusal(
        service("rpc Get(Ask) returns (Ask) { option (mainstreet.options.v1.access) = \(access); }"))
        == "shop.v1.Shop.Get: access must be either public or name roles or scopes")
  }

  @Test(
    "A route must fit the messages of its rpc",
    arguments: [
      ("{get: \"/shops/{name}\"}", "{name} of '/shops/{name}' is no scalar field of shop.v1.Ask"),
      ("{post: \"/shops\", body: \"shop\"}", "body 'shop' is no field of shop.v1.Ask"),
      ("{get: \"/shops\", response_body: \"shop\"}", "response_body 'shop' is no field of shop.v1.Ask"),
    ])
  func routes(route: String, reason: String) throws {
    let text = service("rpc Get(Ask) returns (Ask) { option (google.api.http) = \(route); \(Self.access) }")
    #expect(try refusal(text) == "/shop.v1.Shop/Get: \(reason)")
  }

  @Test("A route without a rate class is refused")
  func noRateClass() throws {
    let text = service(
      """
      rpc Get(Ask) returns (Ask) {
        option (google.api.http) = {get: "/shops"};
        option (mainstreet.options.v1.access) = {public: true};
      }
      """)
    #expect(try refusal(text) == "/shop.v1.Shop/Get has a route but no rate_class")
  }

  @Test(
    "What the runtime cannot carry is refused",
    arguments: [
      ("message Ask { Ask again = 1; }", "shop.v1.Ask contains itself: recursion is not supported"),
      (
        "message Ask { Other other = 1; } message Other { repeated Ask asks = 1; }",
        "shop.v1.Ask contains itself: recursion is not supported"
      ),
      ("message Ask { string self = 1; }", "shop.v1.Ask.self: the name is taken by generated code"),
      (
        "message Ask { Size size = 1; } enum Size { SIZE_UNSPECIFIED = 0; SIZE_LESS = -1; }",
        "shop.v1.Size must begin with 0 and hold no negative values"
      ),
      (
        "message Ask { string id = 1 [(buf.validate.field).int32.gte = 0]; }",
        "shop.v1.Ask.id: its validation rules are of another type"
      ),
      (
        "message Ask { string id = 1 [(buf.validate.field).string.pattern = \"(\"]; }",
        "rules of field id: pattern '(': missing )"
      ),
    ])
  func unsupported(messages: String, reason: String) throws {
    #expect(try refusal(service("rpc Get(Ask) returns (Ask) { \(Self.access) }", messages)) == reason)
  }

  @Test("A map is taken as the list it is on the wire, but not where it would be a JSON object")
  func maps() throws {
    let messages = "message Ask { map<string, string> tags = 1; }"
    #expect(try refusal(service("rpc Get(Ask) returns (Ask) { \(Self.access) }", messages)) == nil)
    let route = "option (google.api.http) = {get: \"/shops\"};"
    #expect(
      try refusal(service("rpc Get(Ask) returns (Ask) { \(route) \(Self.access) }", messages))
        == "shop.v1.Ask.TagsEntry: map fields are not supported in rpcs with a route; use a repeated message")
  }

  @Test("Two things may not have one Swift name")
  func names() throws {
    let text = service("rpc Get(Ask) returns (Ask) { \(Self.access) }") + "\nmessage ShopClient {}"
    #expect(try refusal(text) == "shop.v1.Shop and shop.v1.ShopClient would both be ShopClient in Swift")
  }
}
