internal import FoundationEssentials
import NIOCore
import NIOHTTP1
import Schema
import ServiceKit

/// What the Edge serves about itself: the API's description, and a page that shows it and can try it out.
struct Documentation: Sendable {
  struct Page: Sendable {
    var contentType: String
    var body: ByteBuffer
    var cacheControl: String
    var entityTag: String

    init(_ contentType: String, _ body: ByteBuffer, cacheControl: String) {
      self.contentType = contentType
      self.body = body
      self.cacheControl = cacheControl
      entityTag = body.entityTag
    }
  }

  /// By path, without the `/api` or `/api/v1` that may stand before it.
  private let pages: [Substring: Page]
  /// Of the longest path that could be one of these, so that most requests cost a comparison here.
  private static let longestPath = 64

  /// Swagger UI's own files, as drf-spectacular-sidecar has them.
  static let assets = [
    ("swagger-ui.css", "text/css; charset=utf-8"), ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("favicon-32x32.png", "image/png"),
  ]

  /// - Parameter assets: folder of Swagger UI's files; without it the page says what to do, and the description is
  ///   served all the same.
  /// - Throws: `StartupFailure` when the folder is given and a file is not in it.
  init(_ description: JSONObject, assets folder: String?) throws {
    var json = ByteBuffer()
    json.writeJSON(.object(description))
    // Read again and again by programs, and made anew with each release: to be asked for, but not sent again.
    var pages: [Substring: Page] = [
      "/openapi.json": Page("application/json", json, cacheControl: "public, no-cache")
    ]
    pages["/docs/docs.css"] = Self.page("text/css; charset=utf-8", PackageResources.docs_css)
    if let folder {
      for (name, type) in Self.assets {
        let body = try Self.read(name, in: folder)
        pages["/docs/\(name)"[...]] = Page(type, body, cacheControl: "public, max-age=86400")
      }
      pages["/docs/docs.js"] = Self.page("text/javascript; charset=utf-8", PackageResources.docs_js)
    }
    let page = Self.page(
      "text/html; charset=utf-8", folder == nil ? PackageResources.missing_html : PackageResources.docs_html)
    pages["/"] = page
    pages["/docs"] = page
    self.pages = pages
  }

  private static func page(_ contentType: String, _ body: [UInt8]) -> Page {
    Page(contentType, ByteBuffer(bytes: body), cacheControl: "public, no-cache")
  }

  private static func read(_ name: String, in folder: String) throws -> ByteBuffer {
    do {
      return ByteBuffer(bytes: try Data(contentsOf: URL(filePath: folder).appending(path: name)))
    } catch {
      throw StartupFailure("docs.assets: \(folder) has no \(name) that can be read")
    }
  }

  // MARK: Answers

  /// Nil when the path is none of these.
  func answer(_ head: HTTPRequestHead, at path: Substring) throws(Problem) -> HTTPResponse? {
    guard path.utf8.count <= Self.longestPath, let page = pages[Self.withoutPrefix(path)] else { return nil }
    guard head.method == .GET || head.method == .HEAD else {
      throw Problem.wrongMethod(head.method.rawValue, allowed: ["GET", "HEAD"])
    }
    var response = HTTPResponseHead(status: 200, contentType: page.contentType)
    response.headers = [("ETag", page.entityTag)]
    response.cacheControl = page.cacheControl
    response.contentSecurityPolicy = Self.policy
    guard !Self.isKnown(page.entityTag, to: head.headers) else {
      response.status = 304
      return HTTPResponse(response)
    }
    return HTTPResponse(response, body: page.body)
  }

  /// Everything from here, nothing from elsewhere, and nothing within the page that is not a file. Swagger UI keeps its
  /// icons in its style sheet, as `data:`.
  private static let policy = """
    default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'
    """

  /// `/api/v1/docs` → `/docs`; `/api` → `/`. The page is nowhere without a prefix but under its name.
  private static func withoutPrefix(_ path: Substring) -> Substring {
    for prefix in ["/api/v1", "/api"] where path.hasPrefix(prefix) {
      let rest = path.dropFirst(prefix.count)
      if rest.isEmpty || rest == "/" { return "/" }
      if rest.first == "/" { return rest }
    }
    return path == "/" ? "" : path
  }

  /// RFC 9110 §13.1.2: a list of tags, weak ones as good as strong, or any.
  private static func isKnown(_ entityTag: String, to headers: HTTPHeaders) -> Bool {
    headers[canonicalForm: "if-none-match"].contains { tag in
      tag == "*" || (tag.hasPrefix("W/") ? tag.dropFirst(2) : tag[...]) == entityTag
    }
  }
}

extension ByteBuffer {
  /// FNV-1a in 64 bits: it tells releases apart, which nobody tries to confuse.
  fileprivate var entityTag: String {
    let hash = withUnsafeReadableBytes { bytes in
      var hash: UInt64 = 0xcbf2_9ce4_8422_2325
      for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
      return hash
    }
    return "\"\(String(hash, radix: 16))\""
  }
}
