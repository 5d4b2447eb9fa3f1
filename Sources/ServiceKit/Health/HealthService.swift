package import MainstreetAPI
package import RPC

/// `grpc.health.v1`: the same answer as `/readyz`, for clients that balance and for operators with grpcurl.
package struct HealthService: Health {
  /// Full names of the services beside this one.
  private let services: Set<String>
  private let readiness: Readiness

  package init(services: Set<String>, readiness: Readiness) {
    self.services = services
    self.readiness = readiness
  }

  package func check(_ request: HealthCheckRequest, _ context: CallContext) async throws
    -> HealthCheckResponse
  {
    guard knows(request.service) else {
      throw RPCError(.notFound, "no such service is served here", reason: "SERVICE_NOT_FOUND")
    }
    return HealthCheckResponse(status: status)
  }

  /// Sends the state now and whenever it changed, seen once a second; ends when the server shuts down.
  package func watch(
    _ request: HealthCheckRequest, _ responses: ResponseWriter<HealthCheckResponse>, _ context: CallContext
  ) async throws {
    var last: HealthCheckResponse.ServingStatus?
    while true {
      let now = knows(request.service) ? status : .serviceUnknown
      if now != last { try await responses.write(HealthCheckResponse(status: now)) }
      last = now
      if readiness.isDraining { return }
      try await Task.sleep(for: .seconds(1))
    }
  }

  private var status: HealthCheckResponse.ServingStatus { readiness.isReady ? .serving : .notServing }

  /// The empty name asks for the server as a whole.
  private func knows(_ service: String) -> Bool { service.isEmpty || services.contains(service) }
}
