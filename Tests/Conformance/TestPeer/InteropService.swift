import Glibc
import GrpcTesting
import NIOCore
import RPC

/// The server of gRPC's interoperability tests.
///
/// Source: grpc/grpc, doc/interop-test-descriptions.md, "Server".
struct InteropService: TestService {
  private let serverId = "TestPeer \(getpid())"

  func emptyCall(_ request: Empty, _ context: CallContext) async throws -> Empty {
    context.echoMetadata()
    return request
  }

  func unaryCall(_ request: SimpleRequest, _ context: CallContext) async throws -> SimpleResponse {
    context.echoMetadata()
    try context.expectCompressed(request.expectCompressed)
    try request.responseStatus?.raise()
    if let wanted = request.responseCompressed?.value {
      context.responseEncoding = wanted ? .gzip : .identity
    }
    return SimpleResponse(
      payload: try .zeros(request.responseSize), serverId: request.fillServerId ? serverId : "")
  }

  func streamingInputCall(
    _ requests: RequestStream<StreamingInputCallRequest>, _ context: CallContext
  ) async throws -> StreamingInputCallResponse {
    context.echoMetadata()
    var size = 0
    for try await request in requests {
      try context.expectCompressed(request.expectCompressed)
      size += request.payload?.body.readableBytes ?? 0
    }
    return StreamingInputCallResponse(aggregatedPayloadSize: Int32(clamping: size))
  }

  func streamingOutputCall(
    _ request: StreamingOutputCallRequest, _ responses: ResponseWriter<StreamingOutputCallResponse>,
    _ context: CallContext
  ) async throws {
    context.echoMetadata()
    try await answer(request, responses, context)
  }

  func fullDuplexCall(
    _ requests: RequestStream<StreamingOutputCallRequest>,
    _ responses: ResponseWriter<StreamingOutputCallResponse>, _ context: CallContext
  ) async throws {
    context.echoMetadata()
    for try await request in requests { try await answer(request, responses, context) }
  }

  func halfDuplexCall(
    _ requests: RequestStream<StreamingOutputCallRequest>,
    _ responses: ResponseWriter<StreamingOutputCallResponse>, _ context: CallContext
  ) async throws {
    context.echoMetadata()
    var waiting: [StreamingOutputCallRequest] = []
    for try await request in requests { waiting.append(request) }
    for request in waiting { try await answer(request, responses, context) }
  }

  func unimplementedMethod(_ request: Empty, _ context: CallContext) async throws -> Empty {
    throw RPCError(.unimplemented, "not implemented, as the test wants it")
  }

  private func answer(
    _ request: StreamingOutputCallRequest, _ responses: ResponseWriter<StreamingOutputCallResponse>,
    _ context: CallContext
  ) async throws {
    if request.responseParameters.contains(where: { $0.compressed?.value == true }) {
      context.responseEncoding = .gzip
    }
    for wanted in request.responseParameters {
      if wanted.intervalUs > 0 { try await Task.sleep(for: .microseconds(Int64(wanted.intervalUs))) }
      try await responses.write(
        StreamingOutputCallResponse(payload: try .zeros(wanted.size)),
        compressed: wanted.compressed?.value ?? true)
    }
    try request.responseStatus?.raise()
  }
}

extension CallContext {
  /// Sends back the metadata the case custom_metadata asks for.
  fileprivate func echoMetadata() {
    guard !metadata.isEmpty else { return }
    if let text = metadata["x-grpc-test-echo-initial"] {
      setInitialMetadata("x-grpc-test-echo-initial", text)
    }
    if let bytes = metadata[binary: "x-grpc-test-echo-trailing-bin"] {
      setTrailingMetadata("x-grpc-test-echo-trailing-bin", bytes)
    }
  }
}

extension CallContext {
  /// Whether the message taken last came as its sender says.
  fileprivate func expectCompressed(_ expected: BoolValue?) throws {
    guard let expected, expected.value != isRequestCompressed else { return }
    throw RPCError(.invalidArgument, "the message came \(isRequestCompressed ? "" : "un")compressed")
  }
}

extension EchoStatus {
  /// Ends the call as asked.
  fileprivate func raise() throws {
    guard code != 0 else { return }
    throw RPCError(StatusCode(rawValue: Int(code)) ?? .unknown, message)
  }
}

extension Payload {
  /// Payloads are slices of these, so that making one copies nothing.
  private static let zeros = ByteBuffer(repeating: 0, count: 16 << 20)

  static func zeros(_ size: Int32) throws -> Payload {
    guard let body = zeros.getSlice(at: 0, length: Int(size)) else {
      throw RPCError(.invalidArgument, "a payload of \(size) bytes is not to be had")
    }
    return Payload(body: body)
  }
}
