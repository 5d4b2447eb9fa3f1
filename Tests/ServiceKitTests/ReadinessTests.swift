import Testing

@testable import ServiceKit

@Suite struct ReadinessTests {
  @Test("Ready means every promised listener is bound and every check passes")
  func obstacles() {
    let readiness = Readiness(promised: ["grpc", "admin"], readyFile: nil)
    readiness.report("no connection", of: "postgres")
    #expect(
      readiness.obstacles == [
        "grpc: not listening yet", "admin: not listening yet", "postgres: no connection",
      ])
    readiness.announce("grpc", at: "127.0.0.1:1")
    readiness.announce("admin", at: "127.0.0.1:2")
    #expect(readiness.obstacles == ["postgres: no connection"])
  }

  @Test("A service that is shutting down is not ready")
  func draining() {
    let readiness = Readiness(promised: [], readyFile: nil)
    #expect(readiness.obstacles.isEmpty)
    readiness.drain()
    #expect(readiness.obstacles == ["shutting down"])
  }
}
