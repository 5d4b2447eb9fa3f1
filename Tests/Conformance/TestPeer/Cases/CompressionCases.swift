import GrpcTesting
import RPC

extension Caller {
  func clientCompressedUnary() async throws {
    let probe = try await failure { try await large(expectCompressed: true, sending: .identity) }
    try expect(probe.code, .invalidArgument, "the status of a request that should have been compressed")
    try await large(expectCompressed: true, sending: .gzip)
    try await large(expectCompressed: false, sending: .identity)
  }

  private func large(expectCompressed: Bool, sending compression: MessageEncoding) async throws {
    var request = try SimpleRequest.large()
    request.expectCompressed = BoolValue(value: expectCompressed)
    let response = try await service.unaryCall(request, options: options(compression))
    try expectZeros(response.message.payload, 314_159)
  }

  func serverCompressedUnary() async throws {
    for compressed in [true, false] {
      var request = try SimpleRequest.large()
      request.responseCompressed = BoolValue(value: compressed)
      let response = try await service.unaryCall(request, options: CallOptions(deadline: deadline))
      try expect(response.isCompressed, compressed, "whether the response came compressed")
      try expectZeros(response.message.payload, 314_159)
    }
  }

  func clientCompressedStreaming() async throws {
    let probe = try await failure { try await input([(27_182, true)], compressing: .identity) }
    try expect(probe.code, .invalidArgument, "the status of a request that should have been compressed")
    let size = try await input([(27_182, true), (45_904, false)], compressing: .gzip)
    try expect(size, 73_086, "the aggregated size")
  }

  private func input(
    _ messages: [(size: Int32, compressed: Bool)], compressing compression: MessageEncoding
  ) async throws -> Int32 {
    let response = try await service.streamingInputCall(options: options(compression)) { requests in
      for (size, compressed) in messages {
        let request = StreamingInputCallRequest(
          payload: try .zeros(size), expectCompressed: BoolValue(value: compressed))
        try await requests.write(request, compressed: compressed)
      }
    }
    return response.message.aggregatedPayloadSize
  }

  func serverCompressedStreaming() async throws {
    let wanted: [(size: Int32, compressed: Bool)] = [(31_415, true), (92_653, false)]
    let request = StreamingOutputCallRequest(
      responseParameters: wanted.map {
        ResponseParameters(size: $0.size, compressed: BoolValue(value: $0.compressed))
      })
    try await service.streamingOutputCall(request, options: CallOptions(deadline: deadline)) { responses in
      var iterator = responses.makeAsyncIterator()
      for (size, compressed) in wanted {
        try expectZeros(try await iterator.next()?.payload, size)
        try expect(await responses.isMessageCompressed, compressed, "whether a response came compressed")
      }
      try expect(try await iterator.next(), nil, "what follows the last response")
    }
  }

  private func options(_ compression: MessageEncoding) -> CallOptions {
    CallOptions(deadline: deadline, policy: CallPolicy(compression: compression))
  }
}
