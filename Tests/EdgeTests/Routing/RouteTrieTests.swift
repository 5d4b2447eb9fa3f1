import Logging
import MainstreetAPI
import Metrics
import RPC
import Schema
import Testing

@testable import Edge

@Suite struct RouteTrieTests {
  static let trie: RouteTrie = {
    let client = RPCClient(
      target: .tcp(host: "127.0.0.1", port: 1), eventLoopGroup: loops.edge, logger: .quiet)
    do {
      return try RouteTable(
        schema: DescriptorSet(serialized: descriptorSet),
        clients: ["mainstreet.store.v1.StoreService": client], metrics: NOOPMetricsHandler.instance
      ).trie
    } catch {
      preconditionFailure("\(error)")
    }
  }()

  static func describe(_ match: RouteTrie.Match) -> String {
    switch match {
    case .found(let route, let variables):
      (["\(route.rpc.path.split(separator: "/").last ?? "")"] + variables).joined(separator: " ")
    case .wrongMethod(let allowed): "405 " + allowed.joined(separator: ",")
    case .notFound: "404"
    case .malformed: "400"
    }
  }

  @Test(
    "Finds the route of a method and path",
    arguments: [
      ("POST", "/stores", "CreateStore"), ("GET", "/stores", "ListStores"), ("HEAD", "/stores", "ListStores"),
      ("GET", "/stores/x", "GetStore x"), ("PATCH", "/stores/x", "UpdateStore x"),
      ("DELETE", "/stores/x", "DeleteStore x"),
      ("PUT", "/stores/x/hours", "SetBusinessHours x"), ("POST", "/stores/x/status", "RecordPoll x"),
      ("POST", "/stores/status", "RecordPolls"),
      ("POST", "/trigger_report", "TriggerReport"), ("POST", "/reports", "TriggerReport"),
      ("GET", "/get_report/r1", "DownloadReport r1"),
      ("GET", "/api/stores", "ListStores"), ("GET", "/api/v1/stores/x", "GetStore x"),
      ("GET", "/api/v1/get_report/r", "DownloadReport r"),
      ("GET", "/stores/a%20b%2Fc", "GetStore a b/c"), ("GET", "/stores/%C3%A9", "GetStore é"),
      ("GET", "/%73tores", "ListStores"),
      ("GET", "/stores/x+y", "GetStore x+y"),
    ])
  func finds(method: String, path: String, expected: String) {
    #expect(Self.describe(Self.trie.match(method: method, path: path[...])) == expected)
  }

  @Test(
    "Knows what is not there",
    arguments: [
      ("GET", "/", "404"), ("GET", "/nope", "404"), ("GET", "/stores/", "404"),
      ("GET", "/stores//hours", "404"), ("GET", "//stores", "404"),
      ("GET", "/v1/stores", "404"), ("GET", "/api/v2/stores", "404"), ("GET", "/api/api/stores", "404"),
      ("GET", "/api/v1", "404"),
      ("GET", "/Stores", "404"), ("GET", "/stores/x/hours/y", "404"),
      ("DELETE", "/stores", "405 GET,HEAD,POST"), ("PUT", "/stores/x", "405 DELETE,GET,HEAD,PATCH"),
      ("GET", "/trigger_report", "405 POST"),
      ("OPTIONS", "/imports/polls", "405 POST"), ("GET", "/stores/status", "405 POST"),
      ("DELETE", "/stores/status", "405 POST"),
      ("GET", "/stores/%", "400"), ("GET", "/stores/%4", "400"), ("GET", "/stores/%zz", "400"),
      ("GET", "/stores/%FF", "400"),
      ("GET", "/stores/%00", "400"), ("GET", "/stores/%ED%A0%80", "400"),
    ])
  func misses(method: String, path: String, expected: String) {
    #expect(Self.describe(Self.trie.match(method: method, path: path[...])) == expected)
  }

  @Test(
    "Targets are paths, also behind the origin a proxy adds",
    arguments: [
      ("/a/b?c=d", "/a/b", "c=d"), ("/a?", "/a", ""), ("/a?b?c", "/a", "b?c"),
      ("http://host:1/a?b", "/a", "b"), ("HTTPS://h/a", "/a", ""),
      ("*", nil, nil), ("host:443", nil, nil), ("http://host", nil, nil), ("", nil, nil),
    ])
  func targets(uri: String, path: String?, query: String?) {
    let target = RequestTarget(uri)
    #expect(target.map { String($0.path) } == path)
    #expect(target.map { String($0.query) } == query)
  }
}
