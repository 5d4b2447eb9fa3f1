import Metrics
import RPC
import Schema

/// Every route of the services the Edge speaks to.
struct RouteTable: Sendable {
  private(set) var trie = RouteTrie()
  private(set) var count = 0

  /// - Parameter clients: by the package or the full name of a service; services without one have no routes here.
  /// - Throws: for an rpc that cannot be served as JSON, naming it; an rpc that does not say who may call
  ///   it is one of those.
  init(
    schema: DescriptorSet, clients: [String: RPCClient], metrics: any MetricsFactory
  ) throws(SchemaError) {
    var compiler = TableCompiler(schema)
    for service in schema.services {
      guard let client = clients[service.fullName] else { continue }
      for method in service.methods where !method.routes.isEmpty {
        guard let access = method.access else {
          throw SchemaError("\(method.path) does not say who may call it")
        }
        for route in method.routes {
          let compiled = try Route(
            route, of: method, access: access, client: client, metrics: metrics, compiler: &compiler)
          try trie.insert(compiled, at: route.template)
          count += 1
        }
      }
    }
  }
}
