/// A `google.protobuf.FileDescriptorSet` as values: every file, message, enum and service with our
/// options and the comments of the source. What the generator generates from and the Edge routes
/// and transcodes by.
public struct DescriptorSet: Sendable {
  /// In dependency order: a file comes after those it imports.
  public let files: [FileDescriptor]

  private let messagesByName: [String: MessageDescriptor]
  private let enumsByName: [String: EnumDescriptor]

  /// - Parameter bytes: a serialized `FileDescriptorSet`, complete with imports.
  public init(serialized bytes: [UInt8]) throws(SchemaError) {
    var files: [FileDescriptor] = []
    var reader = WireReader(bytes[...])
    while let field = try reader.next() {
      if field.number == 1 { files.append(try FileDescriptor(reading: field.message())) }
    }
    self.files = files
    messagesByName = Dictionary(
      files.flatMap(\.messages).map { ($0.fullName, $0) }, uniquingKeysWith: { first, _ in first })
    enumsByName = Dictionary(
      files.flatMap(\.enums).map { ($0.fullName, $0) }, uniquingKeysWith: { first, _ in first })
    try checkReferences()
  }

  /// - Parameter fullName: without a leading dot, e.g. `mainstreet.store.v1.Store`.
  public func message(_ fullName: String) -> MessageDescriptor? { messagesByName[fullName] }

  /// - Parameter fullName: without a leading dot, e.g. `mainstreet.store.v1.PollStatus`.
  public func enumeration(_ fullName: String) -> EnumDescriptor? { enumsByName[fullName] }

  public var services: [ServiceDescriptor] { files.flatMap(\.services) }

  /// Every type a field or rpc names is in the set, so that lookups later cannot fail.
  private func checkReferences() throws(SchemaError) {
    for message in files.flatMap(\.messages) {
      for field in message.fields {
        switch field.kind {
        case .message(let name) where messagesByName[name] == nil,
          .enumeration(let name) where enumsByName[name] == nil:
          throw SchemaError("\(message.fullName).\(field.name): \(name) is not in the descriptor set")
        default:
          continue
        }
      }
    }
    for service in services {
      for method in service.methods {
        for name in [method.inputType, method.outputType] where messagesByName[name] == nil {
          throw SchemaError("\(service.fullName).\(method.name): \(name) is not in the descriptor set")
        }
      }
    }
  }
}
