import GrpcTesting
import NIOCore
import RPC

extension Caller {
  func clientStreaming() async throws {
    let response = try await service.streamingInputCall(options: CallOptions(deadline: deadline)) {
      requests in
      for (size, _) in Self.sizes {
        try await requests.write(StreamingInputCallRequest(payload: try .zeros(size)))
      }
    }
    try expect(response.message.aggregatedPayloadSize, 74_922, "the aggregated size")
  }

  func serverStreaming() async throws {
    let sizes = Self.sizes.map(\.response)
    try await service.streamingOutputCall(.asking(for: sizes), options: CallOptions(deadline: deadline)) {
      responses in
      try await expectPayloads(sizes, in: responses)
    }
  }

  func pingPong() async throws {
    let (turns, turn) = AsyncStream.makeStream(of: (request: Int32, response: Int32).self)
    try await service.fullDuplexCall(
      options: CallOptions(deadline: deadline),
      requests: { requests in
        for await sizes in turns {
          try await requests.write(.asking(for: [sizes.response], payload: sizes.request))
        }
      },
      responses: { responses in
        var iterator = responses.makeAsyncIterator()
        for sizes in Self.sizes {
          turn.yield(sizes)
          try expectZeros(try await iterator.next()?.payload, sizes.response)
        }
        turn.finish()
        try expect(try await iterator.next(), nil, "what follows the last response")
      })
  }

  func emptyStream() async throws {
    try await service.fullDuplexCall(
      options: CallOptions(deadline: deadline), requests: { _ in },
      responses: { try await expectPayloads([], in: $0) })
  }

  func customMetadata() async throws {
    var metadata: Metadata = ["x-grpc-test-echo-initial": "test_initial_metadata_value"]
    metadata.add("x-grpc-test-echo-trailing-bin", [0xab, 0xab, 0xab])
    let unary = try await service.unaryCall(
      .large(), options: CallOptions(metadata: metadata, deadline: deadline))
    try expectEcho(unary.initialMetadata, unary.trailingMetadata)
    try await service.fullDuplexCall(
      options: CallOptions(metadata: metadata, deadline: deadline),
      requests: { try await $0.write(.asking(for: [314_159], payload: 271_828)) },
      responses: { responses in
        try await expectPayloads([314_159], in: responses)
        try expectEcho(try await responses.initialMetadata, await responses.trailingMetadata)
      })
  }

  func cancelAfterBegin() async throws {
    let (begun, begin) = AsyncStream.makeStream(of: Void.self)
    let call = Task {
      try await service.streamingInputCall(options: CallOptions(deadline: deadline)) { _ in
        begin.finish()
        try await untilCancelled()
      }
    }
    for await _ in begun {}
    call.cancel()
    try expect(try await failure { try await call.value }.code, .cancelled, "the status")
  }

  func cancelAfterFirstResponse() async throws {
    let (answers, answer) = AsyncStream.makeStream(of: Void.self)
    let call = Task {
      try await service.fullDuplexCall(
        options: CallOptions(deadline: deadline),
        requests: { requests in
          try await requests.write(.asking(for: [31_415], payload: 27_182))
          try await untilCancelled()
        },
        responses: { responses in
          for try await response in responses {
            try expectZeros(response.payload, 31_415)
            answer.finish()
          }
        })
    }
    for await _ in answers {}
    call.cancel()
    try expect(try await failure { try await call.value }.code, .cancelled, "the status")
  }

  func timeoutOnSleepingServer() async throws {
    let error = try await failure {
      try await service.fullDuplexCall(
        options: CallOptions(deadline: .now() + .milliseconds(1)),
        requests: { requests in
          try await requests.write(.asking(for: [], payload: 27_182))
          try await untilCancelled()
        },
        responses: { for try await _ in $0 {} })
    }
    try expect(error.code, .deadlineExceeded, "the status")
  }
}

private func expectPayloads(
  _ sizes: [Int32], in responses: ResponseStream<StreamingOutputCallResponse>
) async throws {
  var iterator = responses.makeAsyncIterator()
  for size in sizes { try expectZeros(try await iterator.next()?.payload, size) }
  try expect(try await iterator.next(), nil, "what follows the last response")
}

private func expectEcho(_ initial: Metadata, _ trailing: Metadata) throws {
  try expect(initial["x-grpc-test-echo-initial"], "test_initial_metadata_value", "the initial metadata")
  try expect(trailing[binary: "x-grpc-test-echo-trailing-bin"], [0xab, 0xab, 0xab], "the trailing metadata")
}

private func untilCancelled() async throws {
  let (never, _) = AsyncStream<Never>.makeStream()
  for await _ in never {}
  throw CancellationError()
}
