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
      guard let scheme = ["http://", "https://"].first(where: { uri.lowercased().hasPrefix($0) }) else {
        return nil
      }
      rest = rest.dropFirst(scheme.count).drop { $0 != "/" && $0 != "?" }
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
}
