import Foundation
import RPC
import ServiceKit
import Testing

@testable import Edge

@Suite struct DocumentationTests {
  /// A folder with files of the names that Swagger UI's have.
  private func withAssets(
    without missing: String? = nil, _ body: (String) async throws -> Void
  ) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "docs-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for (name, _) in Documentation.assets where name != missing {
      try Data("the \(name)".utf8).write(to: folder.appending(path: name))
    }
    try await body(folder.path)
  }

  @Test(
    "The description is JSON, and is not sent again to whoever has it", arguments: ["", "/api", "/api/v1"])
  func description(prefix: String) async throws {
    try await withEdge { edge in
      let first = try await edge.request("GET", "\(prefix)/openapi.json")
      #expect(first.status == 200)
      #expect(first["content-type"] == "application/json")
      #expect(first["cache-control"] == "public, no-cache")
      #expect(first.body.hasPrefix(#"{"openapi":"3.1.0","#))
      let tag = try #require(first["etag"])
      for known in [tag, "W/\(tag)", "\"x\", \(tag)", "*"] {
        let again = try await edge.request("GET", "/openapi.json", headers: ["If-None-Match: \(known)"])
        #expect(again.status == 304)
        #expect(again.body.isEmpty)
        #expect(again["etag"] == tag)
      }
      let other = try await edge.request("GET", "/openapi.json", headers: ["If-None-Match: \"x\""])
      #expect(other.status == 200)
    }
  }

  @Test(
    "The page is at the paths people try, with nothing from elsewhere",
    arguments: ["/docs", "/api", "/api/docs", "/api/v1", "/api/v1/docs"])
  func page(path: String) async throws {
    try await withAssets { folder in
      try await withEdge(store: .tcp(host: "127.0.0.1", port: 1), documentation: .ofStores(assets: folder)) {
        edge in
        let page = try await edge.request("GET", path)
        #expect(page.status == 200)
        #expect(page["content-type"] == "text/html; charset=utf-8")
        let policy = try #require(page["content-security-policy"])
        #expect(policy.hasPrefix("default-src 'none'; script-src 'self'; style-src 'self';"))
        #expect(!policy.contains("unsafe"))
        #expect(!page.body.contains("https:"))
        #expect(!page.body.contains("<script>") && !page.body.contains("style="))
        for link in page.body.matches(of: /(?:src|href)="([^"]+)"/) {
          #expect(try await edge.request("GET", String(link.1)).status == 200, "\(link.1)")
        }
      }
    }
  }

  @Test("Swagger UI's files go out as they are, with their types")
  func assets() async throws {
    try await withAssets { folder in
      try await withEdge(store: .tcp(host: "127.0.0.1", port: 1), documentation: .ofStores(assets: folder)) {
        edge in
        for (name, type) in Documentation.assets {
          let asset = try await edge.request("GET", "/docs/\(name)")
          #expect(asset.body == "the \(name)")
          #expect(asset["content-type"] == type)
          #expect(asset["cache-control"] == "public, max-age=86400")
          #expect(asset["x-content-type-options"] == "nosniff")
        }
      }
    }
  }

  @Test("Without them the page says what to do, and the description is there all the same")
  func withoutAssets() async throws {
    try await withEdge { edge in
      let page = try await edge.request("GET", "/docs")
      #expect(page.status == 200)
      #expect(page.body.contains("--docs-assets"))
      #expect(try await edge.request("GET", "/docs/swagger-ui.css").status == 404)
      #expect(try await edge.request("GET", "/openapi.json").status == 200)
    }
  }

  @Test("A folder that lacks one ends the start")
  func missingAsset() async throws {
    try await withAssets(without: "swagger-ui-bundle.js") { folder in
      let error = #expect(throws: StartupFailure.self) { try Documentation.ofStores(assets: folder) }
      #expect(error?.description == "docs.assets: \(folder) has no swagger-ui-bundle.js that can be read")
    }
  }

  @Test("It is read only; HEAD has no body")
  func methods() async throws {
    try await withEdge { edge in
      let refused = try await edge.request("POST", "/docs", "{}")
      #expect(refused.status == 405)
      #expect(refused["allow"] == "GET, HEAD")
      let head = try await edge.request("HEAD", "/openapi.json")
      #expect(head.status == 200)
      #expect(head.body.isEmpty)
      #expect(head["etag"] != nil)
      #expect(try await edge.request("GET", "/").status == 404)
    }
  }

  @Test("Answers of the API keep the policy for what is no page")
  func policy() async throws {
    try await withEdge { edge in
      let answer = try await edge.request("GET", "/nowhere")
      #expect(answer["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'")
      #expect(answer["cache-control"] == "no-store")
    }
  }
}
