import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import GRPCProtobuf
import NIOPosix

/// grpc-swift-2 as a peer of `./dev bench rpc`: `serve MESSAGES`, `load TARGET CALLS CALLERS BYTES`.
@main
enum Peer {
  static func main() async throws {
    let arguments = CommandLine.arguments.dropFirst()
    // Of a target such as 127.0.0.1:5001 its port.
    let numbers = arguments.dropFirst().compactMap { Int($0.split(separator: ":").last ?? "") }
    switch (arguments.first, numbers.count) {
    case ("serve", 1):
      try await serve(messages: numbers[0])
    case ("load", 4):
      try await load(port: numbers[0], calls: numbers[1], callers: numbers[2], bytes: numbers[3])
    default:
      print("usage: GRPCSwiftPeer serve MESSAGES | load TARGET CALLS CALLERS BYTES")
      exit(2)
    }
  }

  static func serve(messages: Int) async throws {
    let server = GRPCServer(
      transport: .http2NIOPosix(
        address: .ipv4(host: "127.0.0.1", port: 0), transportSecurity: .plaintext,
        eventLoopGroup: MultiThreadedEventLoopGroup(numberOfThreads: 1)),
      services: [BenchService(messages: messages)])
    try await withThrowingTaskGroup { group in
      group.addTask { try await server.serve() }
      if let address = try await server.listeningAddress?.ipv4 {
        try FileHandle.standardOutput.write(contentsOf: Data("\(address.port)\n".utf8))
      }
      try await group.next()
    }
  }
}

/// What protoc-gen-grpc-swift would make of the service, without its layers of protocols.
struct BenchService: RegistrableRPCService {
  static let unary = MethodDescriptor(fullyQualifiedService: "bench.Bench", method: "Unary")
  static let stream = MethodDescriptor(fullyQualifiedService: "bench.Bench", method: "Stream")

  let messages: Int

  func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
    router.registerHandler(
      forMethod: Self.unary, deserializer: ProtobufDeserializer<Bench_Echo>(),
      serializer: ProtobufSerializer<Bench_Echo>()
    ) { request, _ in
      let request = try await ServerRequest(stream: request)
      var response = Bench_Echo()
      response.text = request.message.text
      return StreamingServerResponse(single: ServerResponse(message: response))
    }
    router.registerHandler(
      forMethod: Self.stream, deserializer: ProtobufDeserializer<Bench_Echo>(),
      serializer: ProtobufSerializer<Bench_Echo>()
    ) { request, _ in
      let request = try await ServerRequest(stream: request)
      return StreamingServerResponse { writer in
        for _ in 0..<messages { try await writer.write(request.message) }
        return [:]
      }
    }
  }
}
