import GrpcTesting
import NIOCore
import RPC

/// Calls grpc.testing.TestService as the cases say, and throws a `CaseFailure` where something else comes of it.
struct Caller: Sendable {
  let client: RPCClient
  let service: TestServiceClient

  init(_ client: RPCClient) {
    self.client = client
    service = TestServiceClient(client)
  }

  /// Calls have one, so that a call that hangs fails.
  var deadline: NIODeadline { .now() + .seconds(30) }

  /// Bytes of the payloads of requests and responses in the streaming cases.
  static let sizes: [(request: Int32, response: Int32)] = [
    (27_182, 31_415), (8, 9), (1_828, 2_653), (45_904, 58_979),
  ]
}

extension SimpleRequest {
  static func large() throws -> SimpleRequest {
    SimpleRequest(responseSize: 314_159, payload: try .zeros(271_828))
  }
}

extension StreamingOutputCallRequest {
  /// Asks for responses of these sizes, with a payload of its own if it is given one.
  static func asking(for sizes: [Int32], payload: Int32? = nil) throws -> StreamingOutputCallRequest {
    StreamingOutputCallRequest(
      responseParameters: sizes.map { ResponseParameters(size: $0) },
      payload: try payload.map { try .zeros($0) })
  }
}

struct CaseFailure: Error, CustomStringConvertible {
  let description: String
}

func expect<Value: Equatable>(_ value: Value, _ expected: Value, _ what: String) throws {
  guard value == expected else { throw CaseFailure(description: "\(what) is \(value), not \(expected)") }
}

func expectZeros(_ payload: Payload?, _ size: Int32) throws {
  try expect(payload?.body.readableBytes, Int(size), "the size of a payload")
  guard try payload == .zeros(size) else { throw CaseFailure(description: "a payload is not all zeros") }
}

/// The error a call ends with, which it must.
func failure(_ call: () async throws -> some Sendable) async throws -> RPCError {
  do {
    _ = try await call()
  } catch let error as RPCError {
    return error
  }
  throw CaseFailure(description: "a call succeeded that must fail")
}
