import GrpcTesting
import NIOCore
import RPC

extension Caller {
  func emptyUnary() async throws {
    try expect(
      try await service.emptyCall(Empty(), options: CallOptions(deadline: deadline)).message, Empty(),
      "the answer")
  }

  func largeUnary() async throws {
    let response = try await service.unaryCall(.large(), options: CallOptions(deadline: deadline))
    try expectZeros(response.message.payload, 314_159)
  }

  func status(message: String) async throws {
    let status = EchoStatus(code: 2, message: message)
    let unary = try await failure {
      try await service.unaryCall(
        SimpleRequest(responseStatus: status), options: CallOptions(deadline: deadline))
    }
    try expect(unary, RPCError(.unknown, message), "the status of a unary call")
    let duplex = try await failure {
      try await service.fullDuplexCall(
        options: CallOptions(deadline: deadline),
        requests: { try await $0.write(StreamingOutputCallRequest(responseStatus: status)) },
        responses: { for try await _ in $0 {} })
    }
    try expect(duplex, RPCError(.unknown, message), "the status of a stream")
  }

  func unimplemented(_ path: String) async throws {
    let error = try await failure {
      try await client.unary(path: path, request: ByteBuffer(), options: CallOptions(deadline: deadline))
    }
    try expect(error.code, .unimplemented, "the status")
  }

  /// The server resets the stream: the call must fail, whatever of the answer was there.
  func resetUnary() async throws {
    let error = try await failure {
      try await service.unaryCall(.large(), options: CallOptions(deadline: deadline))
    }
    guard error.code != .deadlineExceeded else {
      throw CaseFailure(description: "the reset went unnoticed until the deadline")
    }
  }

  /// The first call lets the server say that it allows one stream; the others must take turns.
  func maxStreams() async throws {
    try await largeUnary()
    try await withThrowingTaskGroup { group in
      for _ in 0..<10 { group.addTask { try await largeUnary() } }
      try await group.waitForAll()
    }
  }
}
