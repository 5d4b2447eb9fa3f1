import MainstreetAPI
package import RPC

extension [ServiceDefinition] {
  /// The services with health, and with reflection if there is a descriptor set to tell of. Both go on until their
  /// client has heard enough, so shutdown ends them; and both are open to everyone, who may have us keep what they ask
  /// for as long as that, so it is short: the name of a service, a symbol or a file.
  package func withStandardServices(
    readiness: Readiness, reflecting descriptorSet: [UInt8]?
  ) throws -> [ServiceDefinition] {
    let health = HealthService(services: Set(map(\.name)), readiness: readiness)
    let served = self + [health.serviceDefinition.endingAtShutdown().limitingRequests(toBytes: 1 << 10)]
    guard let descriptorSet else { return served }
    let reflection = try ReflectionService(descriptorSet: descriptorSet, services: served.map(\.name))
    return served
      + reflection.serviceDefinitions.map { $0.endingAtShutdown().limitingRequests(toBytes: 4 << 10) }
  }
}
