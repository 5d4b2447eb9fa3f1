import NIOCore
import NIOHTTP1
import RPC
import ServiceKit
import Testing

@testable import Edge

@Suite struct RouteMetricsTests {
  @Test("Requests are counted by their route's template, whatever came of them")
  func counts() async throws {
    let metrics = MetricsRegistry()
    let labels = #"route="/stores/{store_id}",method="GET""#
    let get = MethodDefinition.unary("GetStore") { request, _ in
      guard metrics.exposition().contains("http_server_in_flight{\(labels)} 1.0\n") else {
        throw RPCError(.internal, "this request is not counted as in flight")
      }
      return request
    }
    @Sendable func admit(
      _ headers: HTTPHeaders, _ peer: SocketAddress?, _ route: Route
    ) throws(Problem) -> Gatekeeper.Decision {
      if headers.contains(name: "x-api-key") { throw Problem(401, "UNAUTHENTICATED", "Not this key.") }
      return try EdgeUnderTest.admitsEveryone(headers, peer, route)
    }
    try await withEdge([get], metrics: metrics, admit: admit) { edge in
      let store = "/api/v1/stores/\(EdgeUnderTest.tenant)"
      let client = try await edge.connect()
      #expect(try await client.request("GET", store).status == 200)
      #expect(try await client.request("HEAD", store).status == 200)
      #expect(try await client.request("GET", store, headers: ["X-API-Key: wrong"]).status == 401)
      #expect(try await client.request("GET", "/nowhere/\(EdgeUnderTest.tenant)").status == 404)
      try await client.send("hello\r\n\r\n")
      #expect(await client.response()?.status == 400)
    }
    // The Edge has drained: what it answered is counted.
    let lines = metrics.exposition().split(separator: "\n").map(String.init)
    let rpc = #"method="/mainstreet.store.v1.StoreService/GetStore""#
    for expected in [
      "http_server_requests_total{\(labels),status=\"200\"} 2",
      "http_server_requests_total{\(labels),status=\"401\"} 1",
      "http_server_requests_total{route=\"none\",method=\"any\",status=\"404\"} 1",
      "http_server_requests_total{route=\"none\",method=\"any\",status=\"400\"} 1",
      "http_server_duration_seconds_count{\(labels)} 3", "http_server_in_flight{\(labels)} 0.0",
      "http_server_in_flight{route=\"none\",method=\"any\"} 0.0",
      "rpc_client_requests_total{\(rpc),code=\"OK\"} 2", "rpc_client_duration_seconds_count{\(rpc)} 2",
      "rpc_client_in_flight{\(rpc)} 0.0",
    ] {
      #expect(lines.contains(expected))
    }
  }
}
