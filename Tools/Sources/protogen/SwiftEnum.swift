import Schema

/// An enum: a case for each value, and one for the numbers a newer peer may send.
struct SwiftEnum {
  private let descriptor: EnumDescriptor

  init(_ descriptor: EnumDescriptor) {
    self.descriptor = descriptor
  }

  static func caseName(_ value: EnumValueDescriptor) -> String {
    escaped(lowerCamel(value.jsonName))
  }

  func write(to writer: inout SourceWriter) {
    let declaration = "enum \(descriptor.name): RawRepresentable, Hashable, Sendable"
    guard let parent = descriptor.nesting.isEmpty ? nil : descriptor.nesting.joined(separator: ".") else {
      writer.comment(descriptor.comment)
      writer.block("package \(declaration) {", body)
      return
    }
    writer.block("extension \(parent) {") { writer in
      writer.comment(descriptor.comment)
      writer.block("package \(declaration) {", body)
    }
  }

  private func body(_ writer: inout SourceWriter) {
    for value in descriptor.values {
      writer.comment(value.comment)
      writer.line("case \(Self.caseName(value))")
    }
    writer.comment("A value this version of the contract does not know.")
    writer.line("case unrecognized(Int32)")
    writer.gap()
    let names = descriptor.values.map { ".\(Self.caseName($0))" }
    writer.line("/// The values the contract names.")
    writer.line("package static let allCases: [Self] = [\(names.joined(separator: ", "))]")
    writer.gap()
    writer.block("package init(rawValue: Int32) {") { writer in
      writer.line("switch rawValue {")
      for value in descriptor.values {
        writer.line("case \(value.number): self = .\(Self.caseName(value))")
      }
      writer.line("default: self = .unrecognized(rawValue)")
      writer.line("}")
    }
    writer.gap()
    writer.block("package var rawValue: Int32 {") { writer in
      writer.line("switch self {")
      for value in descriptor.values {
        writer.line("case .\(Self.caseName(value)): \(value.number)")
      }
      writer.line("case .unrecognized(let number): number")
      writer.line("}")
    }
    writer.gap()
    writer.line("/// The name JSON carries; `nil` for an unrecognized value.")
    writer.block("package var jsonName: String? {") { writer in
      writer.line("switch self {")
      for value in descriptor.values {
        writer.line("case .\(Self.caseName(value)): \"\(value.jsonName)\"")
      }
      writer.line("case .unrecognized: nil")
      writer.line("}")
    }
  }
}
