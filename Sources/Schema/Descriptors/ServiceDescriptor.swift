/// One service.
public struct ServiceDescriptor: Sendable {
  /// e.g. `StoreService`
  public let name: String
  /// e.g. `mainstreet.store.v1.StoreService`
  public let fullName: String
  public let methods: [MethodDescriptor]
  public let comment: String

  init(
    reading reader: WireReader, package: String, path: [Int], comments: [[Int]: String]
  ) throws(SchemaError) {
    var name = ""
    var scan = reader
    while let field = try scan.next() {
      if field.number == 1 { name = try field.string() }
    }
    let fullName = qualified(name, in: package)
    var methods: [MethodDescriptor] = []
    scan = reader
    while let field = try scan.next() {
      guard field.number == 2 else { continue }
      methods.append(
        try MethodDescriptor(
          reading: field.message(), service: fullName, comment: comments[path + [2, methods.count]] ?? ""))
    }
    self.name = name
    self.fullName = fullName
    self.methods = methods
    comment = comments[path] ?? ""
  }
}

/// One rpc.
public struct MethodDescriptor: Sendable {
  /// e.g. `CreateStore`
  public let name: String
  /// What travels as `:path`, e.g. `/mainstreet.store.v1.StoreService/CreateStore`.
  public let path: String
  /// Full name of the request message.
  public let inputType: String
  /// Full name of the response message.
  public let outputType: String
  public let isClientStreaming: Bool
  public let isServerStreaming: Bool
  /// Its HTTP routes, the primary one first. Empty: not reachable as JSON.
  public let routes: [HTTPRoute]
  /// Who may call it, or nil when the proto does not say: such an rpc must be refused.
  public let access: MethodAccess?
  public let documentation: MethodDocumentation
  public let comment: String

  init(reading reader: WireReader, service: String, comment: String) throws(SchemaError) {
    var name = ""
    var inputType = ""
    var outputType = ""
    var isClientStreaming = false
    var isServerStreaming = false
    var options: WireReader?
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 1: name = try field.string()
      case 2: inputType = withoutLeadingDot(try field.string())
      case 3: outputType = withoutLeadingDot(try field.string())
      case 4: options = try field.message()
      case 5: isClientStreaming = try field.bool()
      case 6: isServerStreaming = try field.bool()
      default: break
      }
    }
    var routes: [HTTPRoute] = []
    var access: MethodAccess?
    var documentation = MethodDocumentation()
    do {
      while let option = try options?.next() {
        switch option.number {
        case HTTPRoute.optionNumber: routes += try HTTPRoute.routes(reading: option.message())
        case MethodAccess.optionNumber: access = try MethodAccess(reading: option.message())
        case MethodDocumentation.optionNumber:
          documentation = try MethodDocumentation(reading: option.message())
        default: break
        }
      }
    } catch {
      throw SchemaError("\(service).\(name): \(error)")
    }
    self.name = name
    self.path = "/\(service)/\(name)"
    self.inputType = inputType
    self.outputType = outputType
    self.isClientStreaming = isClientStreaming
    self.isServerStreaming = isServerStreaming
    self.routes = routes
    self.access = access
    self.documentation = documentation
    self.comment = comment
  }
}
