import Foundation
import Schema

/// Turns a descriptor set into the C and Swift of the contract. `Tools/generate` runs it between protoc and
/// protoc-gen-c.
@main
struct Protogen {
  static func main() {
    do {
      try Arguments(CommandLine.arguments.dropFirst()).run()
    } catch {
      FileHandle.standardError.write(Data("protogen: \(error)\n".utf8))
      exit(1)
    }
  }
}

struct Arguments {
  private var values: [String: String] = [:]

  static let usage = """
    usage: protogen --descriptor-set FILE --described PROTO --c-descriptor-set FILE --name NAME --c DIR --c-headers DIR
        --c-module MODULE --swift DIR
      --descriptor-set    read: protoc --include_imports --include_source_info -o FILE
      --described         a proto file that is embedded but gets no code; may be empty
      --c-descriptor-set  written: the same contract as protoc-gen-c takes it
      --name              begins the names of the C functions of the embedded descriptor set
      --c                 written: message tables and the embedded descriptor set
      --c-headers         written: their headers
      --c-module          what the C is called when the Swift imports it
      --swift             written: messages, services and clients
    Prints the proto files the C set holds.
    """

  init(_ arguments: ArraySlice<String>) throws(SchemaError) {
    var rest = arguments
    while let name = rest.popFirst() {
      guard name.hasPrefix("--"), let value = rest.popFirst() else { throw SchemaError(Self.usage) }
      values[name] = value
    }
  }

  private func value(_ name: String) throws(SchemaError) -> String {
    guard let value = values[name] else { throw SchemaError("\(name) is missing\n\(Self.usage)") }
    return value
  }

  func run() throws {
    let serialized = try withOwnCommentsOnly(
      [UInt8](Data(contentsOf: URL(fileURLWithPath: value("--descriptor-set")))))
    let contract = try Contract(serialized: serialized, onlyDescribed: value("--described"))

    let cSet = try CDescriptorSet.rewrite(serialized, keeping: Set(contract.files.map(\.name)))
    try write(cSet, to: value("--c-descriptor-set"))

    let c = try value("--c")
    let headers = try value("--c-headers")
    let tables = MessageTables(contract)
    try write(tables.source, to: "\(c)/message_tables.c")
    try write(tables.header, to: "\(headers)/message_tables.h")
    let embedded = EmbeddedDescriptorSet(name: try value("--name"))
    try write(embedded.source(serialized), to: "\(c)/descriptor_set.c")
    try write(embedded.header, to: "\(headers)/descriptor_set.h")

    let swift = try value("--swift")
    let module = try value("--c-module")
    for file in contract.files {
      let name = file.name.replacing("/", with: ".").dropLast(".proto".count)
      try write(try SwiftFile(file, of: contract, cModule: module).source, to: "\(swift)/\(name).swift")
    }
    try write(MessageList(contract).source, to: "\(swift)/messages.swift")
    print(contract.files.map(\.name).joined(separator: "\n"))
  }

  private func write(_ text: String, to path: String) throws {
    try write([UInt8](text.utf8), to: path)
  }

  private func write(_ bytes: [UInt8], to path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }
}
