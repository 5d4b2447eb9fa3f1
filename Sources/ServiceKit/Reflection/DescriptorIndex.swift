import NIOCore
import Schema

/// Finds the files of a descriptor set by what they define. Files are kept as the bytes they came in: reflection
/// hands out what protoc wrote, with every option and comment.
struct DescriptorIndex: Sendable {
  struct File: Sendable {
    let name: String
    let bytes: ByteBuffer
    fileprivate(set) var imports: [String] = []
  }

  private var files: [String: File] = [:]
  /// Names of files by the full names of what they define.
  private var fileOfSymbol: [String: String] = [:]
  /// Names of files by the full name of the extended message and the extension's number.
  private var fileOfExtension: [String: [Int32: String]] = [:]

  /// - Parameter serialized: a `google.protobuf.FileDescriptorSet`, complete with imports.
  init(serialized: [UInt8]) throws(SchemaError) {
    var reader = WireReader(serialized[...])
    while let field = try reader.next() {
      if field.number == 1 { try add(file: field.bytes()) }
    }
  }

  func file(named name: String) -> File? { files[name] }

  /// - Parameter symbol: a full name, with or without a leading dot.
  func file(defining symbol: String) -> File? { fileOfSymbol[complete(symbol)].flatMap { files[$0] } }

  func file(extending type: String, number: Int32) -> File? {
    fileOfExtension[complete(type)]?[number].flatMap { files[$0] }
  }

  /// In ascending order; nil when no such type is known.
  func extensionNumbers(of type: String) -> [Int32]? {
    let type = complete(type)
    return fileOfExtension[type].map { $0.keys.sorted() } ?? (fileOfSymbol[type] == nil ? nil : [])
  }

  private func complete(_ name: String) -> String { name.first == "." ? String(name.dropFirst()) : name }
}

// Reading. The numbers are those of google/protobuf/descriptor.proto.
extension DescriptorIndex {
  private mutating func add(file bytes: ArraySlice<UInt8>) throws(SchemaError) {
    var file = File(name: try string(1, of: bytes), bytes: ByteBuffer(bytes: bytes))
    let package = try string(2, of: bytes)
    var reader = WireReader(bytes)
    while let field = try reader.next() {
      switch field.number {
      case 3: file.imports.append(try field.string())
      case 4: try add(message: field.bytes(), in: package, file.name)
      case 5: try add(enumeration: field.bytes(), in: package, file.name)
      case 6: try add(field.bytes(), members: [2], in: package, file.name)
      case 7: try add(extension: field.bytes(), in: package, file.name)
      default: break
      }
    }
    files[file.name] = file
  }

  private mutating func add(
    message bytes: ArraySlice<UInt8>, in scope: String, _ file: String
  ) throws(SchemaError) {
    // Its fields and its oneofs.
    let name = try add(bytes, members: [2, 8], in: scope, file)
    var reader = WireReader(bytes)
    while let field = try reader.next() {
      switch field.number {
      case 3: try add(message: field.bytes(), in: name, file)
      case 4: try add(enumeration: field.bytes(), in: name, file)
      case 6: try add(extension: field.bytes(), in: name, file)
      default: break
      }
    }
  }

  /// Values are named as if they stood beside their enum, not in it.
  private mutating func add(
    enumeration bytes: ArraySlice<UInt8>, in scope: String, _ file: String
  ) throws(SchemaError) {
    try add(bytes, members: [], in: scope, file)
    var reader = WireReader(bytes)
    while let field = try reader.next() {
      if field.number == 2 { try add(field.bytes(), members: [], in: scope, file) }
    }
  }

  private mutating func add(
    extension bytes: ArraySlice<UInt8>, in scope: String, _ file: String
  ) throws(SchemaError) {
    try add(bytes, members: [], in: scope, file)
    let type = complete(try string(2, of: bytes))
    var reader = WireReader(bytes)
    while let field = try reader.next() {
      if field.number == 3 { fileOfExtension[type, default: [:]][Int32(try field.int())] = file }
    }
  }

  /// Adds a thing by its name, and what it holds in the fields `members`; returns its full name.
  @discardableResult
  private mutating func add(
    _ bytes: ArraySlice<UInt8>, members: Set<Int>, in scope: String, _ file: String
  ) throws(SchemaError) -> String {
    let simpleName = try string(1, of: bytes)
    let name = scope.isEmpty ? simpleName : "\(scope).\(simpleName)"
    fileOfSymbol[name] = file
    var reader = WireReader(bytes)
    while let field = try reader.next() {
      if members.contains(field.number) { fileOfSymbol["\(name).\(try string(1, of: field.bytes()))"] = file }
    }
    return name
  }

  private func string(_ number: Int, of message: ArraySlice<UInt8>) throws(SchemaError) -> String {
    var reader = WireReader(message)
    while let field = try reader.next() {
      if field.number == number { return try field.string() }
    }
    return ""
  }
}
