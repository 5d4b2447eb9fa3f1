import RPC
import Testing

@testable import ServiceKit

@Suite("What operators tell a client") struct RPCClientSettingTests {
  private func configuration(_ arguments: [String] = []) async throws -> RPCClient.Configuration {
    let standard = RPCClient.Configuration()
    return try await Settings(
      service: "edge", declared: Setting.rpcClient("store", standard), arguments: arguments,
      environment: [:], file: nil
    ).rpcClient("store", standard)
  }

  @Test("Told nothing, it is the configuration the program was made with")
  func defaults() async throws {
    let told = try await configuration()
    let standard = RPCClient.Configuration()
    #expect(told.balancing == standard.balancing)
    #expect(told.healthService == standard.healthService)
    #expect(told.backoff.initial == standard.backoff.initial)
    #expect(told.backoff.maximum == standard.backoff.maximum)
  }

  @Test("Each setting changes what it is for")
  func told() async throws {
    let told = try await configuration([
      "--store-balancing=pick_first", "--store-health=on", "--store-backoff-min=0.5", "--store-backoff-max=7",
    ])
    #expect(told.balancing == .pickFirst(shuffled: false))
    #expect(told.healthService == "")
    #expect(told.backoff.initial == .milliseconds(500))
    #expect(told.backoff.maximum == .seconds(7))
  }

  @Test(
    "A value that makes no sense stops the start and names its setting",
    arguments: [
      ("balancing", "random", "must be round_robin or pick_first, not \"random\""),
      ("health", "maybe", "must be true or false, not \"maybe\""),
      ("backoff-min", "0", "must be 0.001 at least"),
      ("backoff-min", "121", "and no more than --store-backoff-max"),
      ("backoff-max", "soon", "must be a number of seconds, not \"soon\""),
    ])
  func refused(name: String, value: String, problem: String) async throws {
    let error = await #expect(throws: StartupFailure.self) {
      try await configuration(["--store-\(name)", value])
    }
    #expect(error?.description.hasPrefix("--store-\(name) (MAINSTREET_EDGE_STORE_") == true)
    #expect(error?.description.contains(problem) == true)
  }
}
