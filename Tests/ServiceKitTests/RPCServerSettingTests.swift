import HTTP2
import RPC
import Testing

@testable import ServiceKit

@Suite("What operators tell a server") struct RPCServerSettingTests {
  private func configuration(_ arguments: [String] = []) async throws -> RPCServer.Configuration {
    let grace = Setting("shutdown.grace", default: "20", help: "")
    return try await Settings(
      service: "store", declared: Setting.rpc + [grace], arguments: arguments, environment: [:], file: nil
    ).rpcServer()
  }

  @Test("Told nothing, it is the configuration every test runs with, connections without calls end included")
  func defaults() async throws {
    let told = try await configuration()
    #expect("\(told)" == "\(RPCServer.Configuration(address: .tcp(host: "127.0.0.1", port: 0)))")
    #expect(told.http2.idleTimeout == .seconds(900))
    #expect(told.http2.windowStallTimeout == .seconds(300))
    #expect(told.http2.maxAge == nil)
    #expect(told.http2.maxQueuedBytes == 64 << 20)
  }

  @Test("Every setting changes a field of its own", arguments: RPCServerSetting.all.map(\.setting))
  func one(setting: Setting) async throws {
    let told = try await configuration([setting.flag, "77"])
    #expect("\(told)" != "\(try await configuration())")
    #expect("\(told)".contains("77"))
  }

  @Test(
    "A time of 0 is no limit",
    arguments: [
      "grpc-max-connection-idle", "grpc-max-connection-age", "grpc-write-stall", "grpc-window-stall",
      "grpc-max-deadline",
    ])
  func none(flag: String) async throws {
    let told = try await configuration(["--\(flag)", "0"])
    let field: Duration? =
      switch flag {
      case "grpc-max-connection-idle": told.http2.idleTimeout
      case "grpc-max-connection-age": told.http2.maxAge
      case "grpc-write-stall": told.http2.writeStallTimeout
      case "grpc-window-stall": told.http2.windowStallTimeout
      default: told.maxDeadline
      }
    #expect(field == nil)
  }
}
