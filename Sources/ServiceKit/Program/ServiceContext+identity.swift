internal import MainstreetAPI
package import RPC
package import ServiceLifecycle

extension Setting {
  /// What every program that must know who is calling can be told.
  package static let identity =
    [
      Setting(
        "identity.target",
        help:
          "Where IdentitySvc is: host:port, with all that DNS has for it; unix:/path; or several, with commas."
      )
    ] + rpcClient("identity", .internal)

  /// What every program that calls others in its own name can be told.
  package static let serviceSecret = Setting(
    "service.secret", secret: true,
    help: "What IdentitySvc was told that this program knows; it gives it a principal for that.")
}

extension ServiceContext {
  /// The client of IdentitySvc, and the keys that callers' principals are verified with. Both are to be run, the client
  /// first. The program's settings include `Setting.identity`.
  package func identity() throws -> (client: RPCClient, verifier: PrincipalVerifier, services: [any Service])
  {
    let client = RPCClient(
      target: try settings.target("identity.target"),
      configuration: try rpcClient("identity", .internal),
      eventLoopGroup: eventLoopGroup, logger: logger)
    let verifier = PrincipalVerifier()
    let keys = VerificationKeys(
      verifier, from: AccessServiceClient(client), readiness: readiness, logger: logger)
    return (client, verifier, [client, keys])
  }
}

extension RPCClient.Configuration {
  /// How the platform's programs call each other: what the contract calls idempotent is made again, three times in all,
  /// when it fails with UNAVAILABLE, and anything that never reached a handler in any case. A service that restarts is
  /// waited for, but not as long as a request may take: one that is down should be known to be.
  package static var `internal`: Self {
    var configuration = Self()
    configuration.policies.general.readiness = .wait(atMost: .seconds(2))
    // gRPC's own pauses, a second to two minutes, are made for servers across the Internet and clients by the million.
    // These are a rack away and know their few callers: one that restarted should be found within a second.
    configuration.backoff.initial = .milliseconds(100)
    configuration.backoff.maximum = .seconds(1)
    // An instance that starts, drains or has lost its database says so before calls fail.
    configuration.healthService = ""
    return configuration
  }
}
