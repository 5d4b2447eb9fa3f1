/// A gRPC service ready to be served: its full name and a handler per method.
package struct ServiceDefinition: Sendable {
  /// Full protobuf name, e.g. `mainstreet.store.v1.StoreService`.
  package let name: String
  package let methods: [MethodDefinition]

  package init(name: String, methods: [MethodDefinition]) {
    self.name = name
    self.methods = methods
  }

  /// The same service, whose streaming calls are not waited for at shutdown: see `MethodDefinition.endsAtShutdown`.
  package func endingAtShutdown() -> ServiceDefinition {
    ServiceDefinition(
      name: name,
      methods: methods.map { method in
        var method = method
        if case .streaming = method.handler { method.endsAtShutdown = true }
        return method
      })
  }

  /// The same service, whose requests are no longer than this.
  package func limitingRequests(toBytes count: Int) -> ServiceDefinition {
    ServiceDefinition(
      name: name,
      methods: methods.map { method in
        var method = method
        method.maxRequestBytes = count
        return method
      })
  }
}
