package import MainstreetAPI
package import RPC

/// `grpc.health.v1`: the same answer as `/readyz`, for clients that balance and for operators with grpcurl. Of the parts
/// that `/readyz` tells of, such as `postgres`, each can be checked by its name, too.
package struct HealthService: Health {
  /// Full names of the services beside this one. The empty name asks for the server as a whole.
  private let services: Set<String>
  private let readiness: Readiness

  package init(services: Set<String>, readiness: Readiness) {
    self.services = services.union([""])
    self.readiness = readiness
  }

  package func check(_ request: HealthCheckRequest, _ context: CallContext) async throws
    -> HealthCheckResponse
  {
    if let isWell = readiness.isWell(request.service) { return HealthCheckResponse(status: status(isWell)) }
    guard services.contains(request.service) else {
      throw RPCError(.notFound, "no such service is served here", reason: "SERVICE_NOT_FOUND")
    }
    return HealthCheckResponse(status: status(readiness.isReady))
  }

  package func list(_ request: HealthListRequest, _ context: CallContext) async throws -> HealthListResponse {
    let health = HealthCheckResponse(status: status(readiness.isReady))
    return HealthListResponse(statuses: services.sorted().map { .init(key: $0, value: health) })
  }

  /// Sends the state now and whenever it has changed, until the client or the server ends the call.
  package func watch(
    _ request: HealthCheckRequest, _ responses: ResponseWriter<HealthCheckResponse>, _ context: CallContext
  ) async throws {
    var last: HealthCheckResponse.ServingStatus?
    for await isReady in readiness.states {
      let now = services.contains(request.service) ? status(isReady) : .serviceUnknown
      if now != last { try await responses.write(HealthCheckResponse(status: now)) }
      last = now
    }
  }

  private func status(_ isReady: Bool) -> HealthCheckResponse.ServingStatus {
    isReady ? .serving : .notServing
  }
}
