package import MainstreetAPI
import NIOCore
package import RPC
package import Schema

/// `grpc.reflection`, v1 and v1alpha: tells grpcurl and its like what is served, from the descriptor set the
/// service was built with. It tells no secrets, only the contract; open to everyone who reaches the port.
package struct ReflectionService: ServerReflection {
  private let index: DescriptorIndex
  private let services: [String]

  private static let v1 = "grpc.reflection.v1.ServerReflection"
  private static let v1alpha = "grpc.reflection.v1alpha.ServerReflection"

  /// - Parameters:
  ///   - descriptorSet: a serialized `google.protobuf.FileDescriptorSet`, complete with imports.
  ///   - services: full names of the services beside this one that are really served.
  package init(descriptorSet: [UInt8], services: [String]) throws(SchemaError) {
    index = try DescriptorIndex(serialized: descriptorSet)
    self.services = (services + [Self.v1, Self.v1alpha]).sorted()
  }

  /// Both versions: the messages of v1alpha are those of v1 under another name.
  package var serviceDefinitions: [ServiceDefinition] {
    let methods = serviceDefinition.methods
    return [Self.v1, Self.v1alpha].map { ServiceDefinition(name: $0, methods: methods).endingAtShutdown() }
  }

  package func serverReflectionInfo(
    _ requests: RequestStream<ServerReflectionRequest>, _ responses: ResponseWriter<ServerReflectionResponse>,
    _ context: CallContext
  ) async throws {
    var sent: Set<String> = []
    for try await request in requests {
      try await responses.write(
        ServerReflectionResponse(
          validHost: request.host, originalRequest: request,
          messageResponse: answer(to: request.messageRequest, &sent)))
    }
  }

  private func answer(
    to request: ServerReflectionRequest.MessageRequest?, _ sent: inout Set<String>
  ) -> ServerReflectionResponse.MessageResponse {
    switch request {
    case .fileByFilename(let name):
      return files(index.file(named: name), or: "no file is called \(name)", &sent)
    case .fileContainingSymbol(let symbol):
      return files(index.file(defining: symbol), or: "no file defines \(symbol)", &sent)
    case .fileContainingExtension(let request):
      return files(
        index.file(extending: request.containingType, number: request.extensionNumber),
        or: "no file extends \(request.containingType) with number \(request.extensionNumber)", &sent)
    case .allExtensionNumbersOfType(let type):
      guard let numbers = index.extensionNumbers(of: type) else {
        return error(.notFound, "no type is called \(type)")
      }
      return .allExtensionNumbersResponse(
        ExtensionNumberResponse(baseTypeName: type, extensionNumber: numbers))
    case .listServices:
      return .listServicesResponse(ListServiceResponse(service: services.map { ServiceResponse(name: $0) }))
    case nil:
      return error(.invalidArgument, "the request asks for nothing this server knows")
    }
  }

  /// The file, and behind it those it imports, directly or not, that the client does not have from this call.
  private func files(
    _ file: DescriptorIndex.File?, or reason: String, _ sent: inout Set<String>
  ) -> ServerReflectionResponse.MessageResponse {
    guard let file else { return error(.notFound, reason) }
    sent.insert(file.name)
    var files = [file]
    var next = 0
    while next < files.count {
      for name in files[next].imports where sent.insert(name).inserted {
        if let imported = index.file(named: name) { files.append(imported) }
      }
      next += 1
    }
    return .fileDescriptorResponse(FileDescriptorResponse(fileDescriptorProto: files.map(\.bytes)))
  }

  private func error(_ code: StatusCode, _ message: String) -> ServerReflectionResponse.MessageResponse {
    .errorResponse(ErrorResponse(errorCode: Int32(code.rawValue), errorMessage: message))
  }
}
