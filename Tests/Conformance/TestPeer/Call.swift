import ArgumentParser
import RPC

struct Call: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs one interoperability case against a server; says in one line whether it passed.")

  @Argument(help: "The canonical name of the case.")
  var name: Case

  @OptionGroup
  var target: Target

  func run() async throws {
    do {
      try await target.withClient { try await name.run(Caller($0)) }
    } catch {
      say("failed \(name.rawValue): \(error)")
      throw ExitCode.failure
    }
    say("passed \(name.rawValue)")
  }
}

/// The cases of grpc/grpc, doc/interop-test-descriptions.md and doc/http2-interop-test-descriptions.md.
enum Case: String, CaseIterable, ExpressibleByArgument {
  case emptyUnary = "empty_unary"
  case largeUnary = "large_unary"
  case clientCompressedUnary = "client_compressed_unary"
  case serverCompressedUnary = "server_compressed_unary"
  case clientCompressedStreaming = "client_compressed_streaming"
  case serverCompressedStreaming = "server_compressed_streaming"
  case clientStreaming = "client_streaming"
  case serverStreaming = "server_streaming"
  case pingPong = "ping_pong"
  case emptyStream = "empty_stream"
  case customMetadata = "custom_metadata"
  case statusCodeAndMessage = "status_code_and_message"
  case specialStatusMessage = "special_status_message"
  case unimplementedMethod = "unimplemented_method"
  case unimplementedService = "unimplemented_service"
  case cancelAfterBegin = "cancel_after_begin"
  case cancelAfterFirstResponse = "cancel_after_first_response"
  case timeoutOnSleepingServer = "timeout_on_sleeping_server"
  case goAway = "goaway"
  case resetAfterHeader = "rst_after_header"
  case resetDuringData = "rst_during_data"
  case resetAfterData = "rst_after_data"
  case ping
  case maxStreams = "max_streams"
  case dataFramePadding = "data_frame_padding"

  func run(_ caller: Caller) async throws {
    switch self {
    case .emptyUnary: try await caller.emptyUnary()
    case .largeUnary: try await caller.largeUnary()
    case .clientCompressedUnary: try await caller.clientCompressedUnary()
    case .serverCompressedUnary: try await caller.serverCompressedUnary()
    case .clientCompressedStreaming: try await caller.clientCompressedStreaming()
    case .serverCompressedStreaming: try await caller.serverCompressedStreaming()
    case .clientStreaming: try await caller.clientStreaming()
    case .serverStreaming: try await caller.serverStreaming()
    case .pingPong: try await caller.pingPong()
    case .emptyStream: try await caller.emptyStream()
    case .customMetadata: try await caller.customMetadata()
    case .statusCodeAndMessage: try await caller.status(message: "test status message")
    case .specialStatusMessage:
      try await caller.status(message: "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n")
    case .unimplementedMethod: try await caller.unimplemented("/grpc.testing.TestService/UnimplementedCall")
    case .unimplementedService:
      try await caller.unimplemented("/grpc.testing.UnimplementedService/UnimplementedCall")
    case .cancelAfterBegin: try await caller.cancelAfterBegin()
    case .cancelAfterFirstResponse: try await caller.cancelAfterFirstResponse()
    case .timeoutOnSleepingServer: try await caller.timeoutOnSleepingServer()
    case .goAway:
      try await caller.largeUnary()
      try await caller.largeUnary()
    case .resetAfterHeader, .resetDuringData, .resetAfterData: try await caller.resetUnary()
    case .ping, .dataFramePadding: try await caller.largeUnary()
    case .maxStreams: try await caller.maxStreams()
    }
  }
}
