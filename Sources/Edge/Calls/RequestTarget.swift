/// The path and query of a request line.
struct RequestTarget: Sendable {
  let path: Substring
  /// Without the question mark; empty when there is none.
  let query: Substring

  /// Nil for a target that names nothing here: `*` and authorities. An absolute target loses its origin, which
  /// proxies put there (RFC 9112 §3.2.2).
  init?(_ uri: String) {
    var rest = uri[...]
    if rest.first != "/" {
      guard let end = Self.originEnd(of: uri) else { return nil }
      rest = uri[end...]
      if rest.first != "/" { return nil }
    }
    if let mark = rest.utf8.firstIndex(of: UInt8(ascii: "?")) {
      path = rest[..<mark]
      query = rest[rest.utf8.index(after: mark)...]
    } else {
      path = rest
      query = ""
    }
  }

  /// The host and port of an absolute target; nil for one that is none.
  static func authority(of uri: String) -> Substring? {
    guard let end = originEnd(of: uri), let start = uri.firstRange(of: "//")?.upperBound, start < end else {
      return nil
    }
    return uri[start..<end]
  }

  private static func originEnd(of uri: String) -> String.Index? {
    guard let scheme = ["http://", "https://"].first(where: { uri.lowercased().hasPrefix($0) }) else {
      return nil
    }
    return uri.dropFirst(scheme.count).firstIndex { $0 == "/" || $0 == "?" } ?? uri.endIndex
  }
}
