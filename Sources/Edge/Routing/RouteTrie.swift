import RPC
import Schema

/// Finds the route of a method and path: a tree of segments, literals before variables.
struct RouteTrie: Sendable {
  enum Match: Sendable {
    /// With the values of the path's variables, decoded.
    case found(Route, [String])
    /// The path is known, but not with this method.
    case wrongMethod(allowed: [String])
    case notFound
    /// The path itself is broken; says how.
    case malformed(String)
  }

  private struct Node: Sendable {
    var literals: [String: Int] = [:]
    var variable: Int?
    var routes: [String: Route] = [:]
  }

  /// The root is the first; nodes refer to each other by index.
  private var nodes = [Node()]

  /// - Throws: when two routes share method and path.
  mutating func insert(_ route: Route, at template: PathTemplate) throws(SchemaError) {
    var node = 0
    for segment in template.segments {
      let next: Int?
      switch segment {
      case .literal(let text): next = nodes[node].literals[text]
      case .variable: next = nodes[node].variable
      }
      if let next {
        node = next
        continue
      }
      nodes.append(Node())
      switch segment {
      case .literal(let text): nodes[node].literals[text] = nodes.count - 1
      case .variable: nodes[node].variable = nodes.count - 1
      }
      node = nodes.count - 1
    }
    if let other = nodes[node].routes[route.httpMethod] {
      throw SchemaError("\(route.rpc.path) and \(other.rpc.path) share \(route.httpMethod) \(route.template)")
    }
    nodes[node].routes[route.httpMethod] = route
  }

  /// - Parameter path: as it came, without the query.
  func match(method: String, path: Substring) -> Match {
    var segments: [String] = []
    for part in path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      switch PercentDecoding.decode(part, plusIsSpace: false) {
      case .success(let segment): segments.append(segment)
      case .failure(let error): return .malformed(error.description)
      }
    }
    var found = Search(method: method == "HEAD" ? "GET" : method)
    search(Self.withoutPrefix(segments), 0, &found)
    if let match = found.match { return match }
    return found.allowed.isEmpty ? .notFound : .wrongMethod(allowed: found.allowed.sorted())
  }

  /// `/api` and `/api/v1` in front of a path mean nothing (CONTRACT.md, "Paths").
  private static func withoutPrefix(_ segments: [String]) -> ArraySlice<String> {
    guard segments.first == "api" else { return segments[...] }
    return segments.count > 1 && segments[1] == "v1" ? segments.dropFirst(2) : segments.dropFirst()
  }

  private struct Search {
    var method: String
    var variables: [String] = []
    var match: Match?
    var allowed: Set<String> = []
    /// The path is known by a more literal template than those still to be tried.
    var isSettled: Bool { match != nil || !allowed.isEmpty }
  }

  /// Depth first; a literal that leads nowhere gives way to a variable. One that leads somewhere does not, whatever the
  /// method: `/stores/status` is no store, not even to DELETE.
  private func search(_ segments: ArraySlice<String>, _ index: Int, _ search: inout Search) {
    let node = nodes[index]
    guard let segment = segments.first else {
      if let route = node.routes[search.method] {
        search.match = .found(route, search.variables)
      } else {
        search.allowed.formUnion(node.routes.keys)
        if node.routes["GET"] != nil { search.allowed.insert("HEAD") }
      }
      return
    }
    if let next = node.literals[segment] {
      self.search(segments.dropFirst(), next, &search)
      if search.isSettled { return }
    }
    if let next = node.variable, !segment.isEmpty {
      search.variables.append(segment)
      self.search(segments.dropFirst(), next, &search)
      if search.match == nil { search.variables.removeLast() }
    }
  }
}
