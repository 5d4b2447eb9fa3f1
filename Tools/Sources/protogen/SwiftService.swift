import Schema

/// A service: a protocol to implement, its rpc table, and a client.
struct SwiftService {
  private let descriptor: ServiceDescriptor
  private let contract: Contract

  init(_ descriptor: ServiceDescriptor, _ contract: Contract) {
    self.descriptor = descriptor
    self.contract = contract
  }

  func write(to writer: inout SourceWriter) {
    writer.comment(descriptor.comment)
    writer.block("package protocol \(descriptor.name): Sendable {") { writer in
      for method in descriptor.methods {
        writer.gap()
        writer.comment(method.comment)
        writer.line(requirement(method))
      }
    }
    writer.gap()
    writer.block("extension \(descriptor.name) {") { writer in
      writer.line(
        "/// Every rpc with who may call it; requests are decoded and validated before they are handled.")
      writer.block("package var serviceDefinition: ServiceDefinition {") { writer in
        writer.block("ServiceDefinition(", closing: ")") { writer in
          writer.line("name: \"\(descriptor.fullName)\",")
          writer.block("methods: [", closing: "]") { writer in
            for method in descriptor.methods { writer.line(definition(method) + ",") }
          }
        }
      }
    }
    writer.gap()
    writer.line("/// Calls `\(descriptor.fullName)`.")
    writer.block("package struct \(descriptor.name)Client: Sendable {") { writer in
      writer.line("package let client: RPCClient")
      writer.line("private let methods: Methods")
      writer.gap()
      writer.block("package init(_ client: RPCClient) {") { writer in
        writer.line("self.client = client")
        writer.line("methods = Methods(client)")
      }
      for method in descriptor.methods {
        writer.gap()
        writer.comment(method.comment)
        call(method, to: &writer)
      }
      writer.gap()
      methods(to: &writer)
    }
  }

  /// The client's handles of the methods, in one object so that a copy of the client costs two references.
  private func methods(to writer: inout SourceWriter) {
    writer.block("private final class Methods: Sendable {") { writer in
      for method in descriptor.methods {
        writer.line("let \(escaped(lowerFirst(method.name))): ClientMethod")
      }
      writer.gap()
      writer.block("init(_ client: RPCClient) {") { writer in
        for method in descriptor.methods {
          // A call whose answer was lost is made again only where the contract allows it.
          let idempotent = method.access?.isIdempotent == true ? ", isIdempotent: true" : ""
          writer.line(
            "\(escaped(lowerFirst(method.name))) = client.method(\"\(method.path)\"\(idempotent))")
        }
      }
    }
  }

  private func request(_ method: MethodDescriptor) -> String { typeName(method.inputType) }
  private func response(_ method: MethodDescriptor) -> String { typeName(method.outputType) }

  private func typeName(_ fullName: String) -> String {
    contract.set.message(fullName).map(swiftName) ?? fullName
  }

  private func requirement(_ method: MethodDescriptor) -> String {
    let name = escaped(lowerFirst(method.name))
    let context = "_ context: CallContext"
    let request = request(method)
    let response = response(method)
    switch (method.isClientStreaming, method.isServerStreaming) {
    case (false, false):
      return "func \(name)(_ request: \(request), \(context)) async throws -> \(response)"
    case (true, false):
      return "func \(name)(_ requests: RequestStream<\(request)>, \(context)) async throws -> \(response)"
    case (false, true):
      return
        "func \(name)(_ request: \(request), _ responses: ResponseWriter<\(response)>, \(context)) async throws"
    case (true, true):
      return
        "func \(name)(_ requests: RequestStream<\(request)>, _ responses: ResponseWriter<\(response)>, \(context)) async throws"
    }
  }

  private func definition(_ method: MethodDescriptor) -> String {
    ".\(shape(method))(\"\(method.name)\", access: \(access(method)), self.\(lowerFirst(method.name)))"
  }

  private func shape(_ method: MethodDescriptor) -> String {
    switch (method.isClientStreaming, method.isServerStreaming) {
    case (false, false): "unary"
    case (true, false): "clientStreaming"
    case (false, true): "serverStreaming"
    case (true, true): "bidirectional"
    }
  }

  private func access(_ method: MethodDescriptor) -> String {
    guard case .roles(let roles, let scopes) = method.access?.audience else { return ".public" }
    return ".roles(\(literal(roles)), scopes: \(literal(scopes)))"
  }

  private func literal(_ names: [String]) -> String {
    "[\(names.map { "\"\($0)\"" }.joined(separator: ", "))]"
  }

  private func call(_ method: MethodDescriptor, to writer: inout SourceWriter) {
    let name = escaped(lowerFirst(method.name))
    let request = request(method)
    let response = response(method)
    let options = "options: CallOptions = CallOptions()"
    let readers = "responses: @escaping @Sendable (ResponseStream<\(response)>) async throws -> Result"
    let writers = "requests: @escaping @Sendable (RequestWriter<\(request)>) async throws -> Void"
    let handle = "methods.\(name)"
    let signature: String
    let invocation: String
    switch (method.isClientStreaming, method.isServerStreaming) {
    case (false, false):
      signature = "(_ request: \(request), \(options)) async throws -> ClientResponse<\(response)>"
      invocation = "unary(\(handle), request, options)"
    case (true, false):
      signature = "(\(options), \(writers)) async throws -> ClientResponse<\(response)>"
      invocation = "clientStreaming(\(handle), options, requests: requests)"
    case (false, true):
      signature =
        "<Result: Sendable>(_ request: \(request), \(options), \(readers)) async throws -> Result"
      invocation = "serverStreaming(\(handle), request, options, responses: responses)"
    case (true, true):
      signature = "<Result: Sendable>(\(options), \(writers), \(readers)) async throws -> Result"
      invocation = "bidirectional(\(handle), options, requests: requests, responses: responses)"
    }
    writer.block("package func \(name)\(signature) {") { $0.line("try await client.\(invocation)") }
  }
}
