import MainstreetAPI
package import RPC

extension [ServiceDefinition] {
  /// The services with health, and with reflection if there is a descriptor set to tell of. Both go on until their
  /// client has heard enough, so shutdown ends them.
  package func withStandardServices(
    readiness: Readiness, reflecting descriptorSet: [UInt8]?
  ) throws -> [ServiceDefinition] {
    let health = HealthService(services: Set(map(\.name)), readiness: readiness)
    let served = self + [health.serviceDefinition.endingAtShutdown()]
    guard let descriptorSet else { return served }
    let reflection = try ReflectionService(descriptorSet: descriptorSet, services: served.map(\.name))
    return served + reflection.serviceDefinitions.map { $0.endingAtShutdown() }
  }
}
