import MainstreetAPI
import NIOCore
import RPC
import Schema
import Testing

@testable import ServiceKit

@Suite("Reflection") struct ReflectionTests {
  private let service: ServiceDefinition
  private let files: [[UInt8]]

  init() throws {
    let reflection = try ReflectionService(descriptorSet: descriptorSet, services: ["a.Service"])
    service = reflection.serviceDefinitions[0]
    var files: [[UInt8]] = []
    var reader = WireReader(descriptorSet[...])
    while let field = try reader.next() { files.append(Array(try field.bytes())) }
    self.files = files
  }

  private func ask(
    _ requests: ServerReflectionRequest.MessageRequest?...
  ) async throws -> [ServerReflectionResponse.MessageResponse?] {
    let responses = try await service.call(
      "ServerReflectionInfo",
      requests.map { ServerReflectionRequest(host: "here", messageRequest: $0) },
      returning: ServerReflectionResponse.self)
    #expect(responses.map(\.originalRequest?.messageRequest) == requests)
    #expect(responses.allSatisfy { $0.validHost == "here" })
    return responses.map(\.messageResponse)
  }

  /// The names of the files of an answer, each of which is byte for byte one of the set.
  private func names(_ response: ServerReflectionResponse.MessageResponse?) throws -> [String] {
    guard case .fileDescriptorResponse(let response) = response else { return [] }
    return try response.fileDescriptorProto.map { file in
      let bytes = Array(file.readableBytesView)
      #expect(files.contains(bytes))
      var reader = WireReader(bytes[...])
      return try reader.next()?.string() ?? ""
    }
  }

  @Test("lists the services that are served, itself included")
  func list() async throws {
    let answer = try await ask(.listServices("*"))
    #expect(
      answer == [
        .listServicesResponse(
          ListServiceResponse(service: [
            ServiceResponse(name: "a.Service"), ServiceResponse(name: "grpc.reflection.v1.ServerReflection"),
            ServiceResponse(name: "grpc.reflection.v1alpha.ServerReflection"),
          ]))
      ])
  }

  @Test(
    "finds the file that defines a symbol of any kind",
    arguments: [
      ("grpc.health.v1.Health", "grpc/health/v1/health.proto"),
      (".grpc.health.v1.Health", "grpc/health/v1/health.proto"),
      ("grpc.health.v1.Health.Watch", "grpc/health/v1/health.proto"),
      ("grpc.health.v1.HealthCheckResponse", "grpc/health/v1/health.proto"),
      ("grpc.health.v1.HealthCheckResponse.status", "grpc/health/v1/health.proto"),
      ("grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"),
      ("grpc.health.v1.HealthCheckResponse.NOT_SERVING", "grpc/health/v1/health.proto"),
      ("grpc.health.v1.HealthListResponse.StatusesEntry.key", "grpc/health/v1/health.proto"),
      ("grpc.reflection.v1.ServerReflectionRequest.message_request", "grpc/reflection/v1/reflection.proto"),
      ("grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto"),
      ("mainstreet.options.v1.access", "mainstreet/options/v1/access.proto"),
      ("mainstreet.options.v1.RATE_CLASS_AUTH", "mainstreet/options/v1/access.proto"),
      ("google.protobuf.FileOptions", "google/protobuf/descriptor.proto"),
    ])
  func symbol(symbol: String, file: String) async throws {
    let answer = try await ask(.fileContainingSymbol(symbol))
    #expect(try names(answer[0]).first == file)
  }

  @Test("gives a file by its name, with what it imports, which comes once in a call")
  func imports() async throws {
    let name = "mainstreet/store/v1/store_service.proto"
    let answers = try await ask(
      .fileByFilename(name), .fileByFilename("grpc/health/v1/health.proto"), .fileByFilename(name))
    let first = try names(answers[0])
    #expect(first.first == name)
    #expect(Set(first).count == first.count)
    #expect(first.contains("google/protobuf/descriptor.proto"))
    #expect(try names(answers[1]) == ["grpc/health/v1/health.proto"])
    #expect(try names(answers[2]) == [name])
  }

  @Test("knows extensions by the message they extend")
  func extensions() async throws {
    let options = "google.protobuf.MethodOptions"
    let answers = try await ask(
      .allExtensionNumbersOfType(options),
      .fileContainingExtension(ExtensionRequest(containingType: options, extensionNumber: 50101)),
      .allExtensionNumbersOfType("grpc.health.v1.HealthCheckRequest"))
    #expect(
      answers[0]
        == .allExtensionNumbersResponse(
          ExtensionNumberResponse(baseTypeName: options, extensionNumber: [50101, 50103, 72_295_728])))
    #expect(try names(answers[1]).first == "mainstreet/options/v1/access.proto")
    #expect(
      answers[2]
        == .allExtensionNumbersResponse(
          ExtensionNumberResponse(baseTypeName: "grpc.health.v1.HealthCheckRequest")))
  }

  @Test("answers what it cannot answer with an error and goes on")
  func errors() async throws {
    let answers = try await ask(
      .fileByFilename("no.proto"), .fileContainingSymbol("no.Such"), .allExtensionNumbersOfType("no.Such"),
      .fileContainingExtension(ExtensionRequest(containingType: "no.Such", extensionNumber: 1)), nil,
      .fileContainingSymbol("grpc.health.v1.Health"))
    let codes = answers.map { answer -> StatusCode? in
      guard case .errorResponse(let error) = answer else { return nil }
      return StatusCode(rawValue: Int(error.errorCode))
    }
    #expect(codes == [.notFound, .notFound, .notFound, .notFound, .invalidArgument, nil])
  }
}
