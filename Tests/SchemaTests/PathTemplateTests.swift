import Testing

@testable import Schema

@Suite struct PathTemplateTests {
  @Test(
    "Literals and variables of one segment are read",
    arguments: [
      ("/stores", [PathTemplate.Segment.literal("stores")]),
      ("/stores/{store_id}/hours", [.literal("stores"), .variable(["store_id"]), .literal("hours")]),
      ("/a/{b=*}", [.literal("a"), .variable(["b"])]),
      ("/a/{b.c}", [.literal("a"), .variable(["b", "c"])]),
      (
        "/stores/{id}/uptime-last-hour",
        [.literal("stores"), .variable(["id"]), .literal("uptime-last-hour")]
      ),
    ])
  func reads(source: String, segments: [PathTemplate.Segment]) throws {
    #expect(try PathTemplate(source).segments == segments)
  }

  @Test(
    "Everything else is refused",
    arguments: [
      "", "/", "stores", "/stores/", "//stores", "/{a", "/a}", "/{}", "/{a=**}", "/{a=b/*}", "/*", "/**",
      "/x{a}",
      "/{a}.csv", "/a:verb", "/{a}/{a}", "/a?b", "/a b", "/é",
    ])
  func refuses(source: String) {
    #expect(throws: SchemaError.self) { try PathTemplate(source) }
  }
}
