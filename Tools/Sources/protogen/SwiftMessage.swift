import Schema

/// A message: a struct, its way to C and back, and its validation.
struct SwiftMessage {
  private let descriptor: MessageDescriptor
  private let contract: Contract
  private let fields: [SwiftField]
  private let validation: SwiftValidation

  init(_ descriptor: MessageDescriptor, _ contract: Contract) {
    self.descriptor = descriptor
    self.contract = contract
    fields = descriptor.fields.map { SwiftField($0, contract) }
    validation = SwiftValidation(descriptor, fields, contract)
  }

  var needsRules: Bool { validation.needsRules }

  private var name: String { swiftName(descriptor) }
  private var cType: String { cTypeName(descriptor.fullName) }
  private var cFunction: String { cFunctionName(descriptor.fullName) }

  func write(to writer: inout SourceWriter) {
    let declaration = "package struct \(descriptor.name): Hashable, Sendable {"
    if descriptor.nesting.isEmpty {
      writer.comment(descriptor.comment.isEmpty ? "`\(descriptor.fullName)`." : descriptor.comment)
      writer.block(declaration, body)
    } else {
      writer.block("extension \(descriptor.nesting.joined(separator: ".")) {") { writer in
        writer.comment(descriptor.comment)
        writer.block(declaration, body)
      }
    }
    writer.gap()
    writer.block("extension \(name): CMessage {", conformance)
    if !validation.isEmpty {
      writer.gap()
      writer.block("extension \(name) {", validation.write)
    }
  }

  /// What the struct declares: a property for each plain field, and one for each oneof.
  private var properties: [(name: String, type: String, defaultValue: String, comment: String)] {
    var properties: [(name: String, type: String, defaultValue: String, comment: String)] = []
    var oneofs: Set<Int> = []
    for field in fields {
      guard let index = field.descriptor.oneofIndex else {
        properties.append((field.name, field.type, field.defaultValue, field.descriptor.comment))
        continue
      }
      guard oneofs.insert(index).inserted, let oneof = descriptor.oneofs.first(where: { $0.index == index })
      else { continue }
      properties.append((escaped(lowerCamel(oneof.name)), "\(upperCamel(oneof.name))?", "nil", oneof.comment))
    }
    return properties
  }

  private func body(_ writer: inout SourceWriter) {
    for property in properties {
      writer.comment(property.comment)
      writer.line("package var \(property.name): \(property.type)")
    }
    writer.gap()
    guard !properties.isEmpty else {
      writer.line("package init() {}")
      return
    }
    let parameters = properties.map { "\($0.name): \($0.type) = \($0.defaultValue)" }
    writer.block("package init(\(parameters.joined(separator: ", "))) {") { writer in
      for property in properties { writer.line("self.\(property.name) = \(property.name)") }
    }
    for oneof in descriptor.oneofs {
      writer.gap()
      writer.comment(oneof.comment)
      writer.block("package enum \(upperCamel(oneof.name)): Hashable, Sendable {") { writer in
        for field in fields(of: oneof) {
          writer.comment(field.descriptor.comment)
          writer.line("case \(field.name)(\(field.valueType))")
        }
      }
    }
  }

  private func fields(of oneof: OneofDescriptor) -> [SwiftField] {
    fields.filter { $0.descriptor.oneofIndex == oneof.index }
  }

  private func conformance(_ writer: inout SourceWriter) {
    writer.line("package static let fullName = \"\(descriptor.fullName)\"")
    writer.line("static var table: UnsafePointer<mainstreet_message> { \(cFunction)__table() }")
    writer.gap()
    writer.block("package init(decoding bytes: ByteBuffer) throws(MessageDecodingError) {") {
      $0.line("self = try CEncoding.decode(bytes)")
    }
    writer.gap()
    writer.block("package func encode(into buffer: inout ByteBuffer) {") {
      $0.line("CEncoding.encode(self, into: &buffer)")
    }
    writer.gap()
    writer.block("init(_ c: UnsafePointer<\(cType)>) {") { writer in
      if fields.isEmpty { writer.line("self.init()") }
      for field in fields where field.descriptor.oneofIndex == nil { read(field, to: &writer) }
      for oneof in descriptor.oneofs { read(oneof, to: &writer) }
    }
    writer.gap()
    writer.block("func fill(_ c: UnsafeMutablePointer<\(cType)>, from arena: inout Arena) {") { writer in
      writer.line("\(cFunction)__init(c)")
      for field in fields where field.descriptor.oneofIndex == nil { fill(field, to: &writer) }
      for oneof in descriptor.oneofs { fill(oneof, to: &writer) }
    }
  }

  private func read(_ field: SwiftField, to writer: inout SourceWriter) {
    let c = "c.pointee.\(field.cName)"
    switch field.descriptor.cardinality {
    case .implicit:
      writer.line("\(field.name) = \(field.swiftValue(c))")
    case .explicit where field.descriptor.isOptional:
      let isSet = "c.pointee._\(field.descriptor.name)_case.rawValue == \(field.descriptor.number)"
      if field.descriptor.kind.isMessage {
        writer.line("\(field.name) = \(isSet) ? \(c).map { \(field.swiftValue("$0")) } : nil")
      } else {
        writer.line("\(field.name) = \(isSet) ? \(field.swiftValue(c)) : nil")
      }
    case .explicit:
      writer.line("\(field.name) = \(c).map { \(field.swiftValue("$0")) }")
    case .repeated where field.descriptor.kind.isMessage:
      writer.line("\(field.name) = CEncoding.messages(\(c), count: c.pointee.n_\(field.descriptor.name))")
    case .repeated:
      let element = field.swiftValue("$0")
      writer.line(
        "\(field.name) = UnsafeBufferPointer(start: \(c), count: c.pointee.n_\(field.descriptor.name)).map { \(element) }"
      )
    }
  }

  private func read(_ oneof: OneofDescriptor, to writer: inout SourceWriter) {
    let property = escaped(lowerCamel(oneof.name))
    writer.line("\(property) =")
    writer.line("  switch c.pointee.\(oneof.name)_case.rawValue {")
    for field in fields(of: oneof) {
      let c = "c.pointee.\(field.cName)"
      let value =
        field.descriptor.kind.isMessage
        ? "\(c).map { .\(field.name)(\(field.swiftValue("$0"))) }" : ".\(field.name)(\(field.swiftValue(c)))"
      writer.line("  case \(field.descriptor.number): \(value)")
    }
    writer.line("  default: nil")
    writer.line("  }")
  }

  private func fill(_ field: SwiftField, to writer: inout SourceWriter) {
    let c = "c.pointee.\(field.cName)"
    switch field.descriptor.cardinality {
    case .implicit:
      writer.line("\(c) = \(field.cValue(field.name))")
    case .explicit where field.descriptor.isOptional:
      writer.block("if let \(field.name) {") { writer in
        writer.line("c.pointee._\(field.descriptor.name)_case = .init(rawValue: \(field.descriptor.number))")
        writer.line("\(c) = \(field.cValue(field.name))")
      }
    case .explicit:
      writer.line("if let \(field.name) { \(c) = \(field.cValue(field.name)) }")
    case .repeated:
      writer.line("c.pointee.n_\(field.descriptor.name) = \(field.name).count")
      let elements = field.descriptor.kind.isMessage ? "arena.messages(\(field.name))" : nil
      writer.line("\(c) = \(elements ?? "arena.array(\(field.name)) { \(field.elementClosure) }")")
    }
  }

  private func fill(_ oneof: OneofDescriptor, to writer: inout SourceWriter) {
    writer.line("switch \(escaped(lowerCamel(oneof.name))) {")
    for field in fields(of: oneof) {
      writer.line("case .\(field.name)(let value):")
      writer.indented("c.pointee.\(oneof.name)_case = .init(rawValue: \(field.descriptor.number))")
      writer.indented("c.pointee.\(field.cName) = \(field.cValue("value"))")
    }
    writer.line("case nil: break")
    writer.line("}")
  }
}

extension SwiftField {
  /// Copies one element: gets the element and the arena.
  fileprivate var elementClosure: String {
    let value = cValue("element")
    return value.contains("arena") ? "arena, element in \(value)" : "_, element in \(value)"
  }
}
