/// One proto file.
public struct FileDescriptor: Sendable {
  /// Path below the proto root, e.g. `mainstreet/store/v1/store.proto`.
  public let name: String
  /// e.g. `mainstreet.store.v1`
  public let package: String
  /// Paths of the files it imports.
  public let dependencies: [String]
  /// Every message of the file, nested ones after the one they are in.
  public let messages: [MessageDescriptor]
  /// Every enum of the file, those in messages included.
  public let enums: [EnumDescriptor]
  public let services: [ServiceDescriptor]

  init(reading reader: WireReader) throws(SchemaError) {
    var name = ""
    var package = ""
    var syntax = "proto2"
    var dependencies: [String] = []
    var comments: [[Int]: String] = [:]
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 1: name = try field.string()
      case 2: package = try field.string()
      case 3: dependencies.append(try field.string())
      case 9: comments = try readComments(field.message())
      case 12: syntax = try field.string()
      default: break
      }
    }

    var builder = TypeCollector(isProto3: syntax == "proto3", comments: comments)
    var services: [ServiceDescriptor] = []
    scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 4: try builder.addMessage(field.message(), scope: package, nesting: [], path: [4])
      case 5: try builder.addEnum(field.message(), scope: package, nesting: [], path: [5])
      case 6:
        services.append(
          try ServiceDescriptor(
            reading: field.message(), package: package, path: [6, services.count], comments: comments))
      default: break
      }
    }
    self.name = name
    self.package = package
    self.dependencies = dependencies
    messages = builder.messages
    enums = builder.enums
    self.services = services
  }
}

/// The comments of a `SourceCodeInfo`, by the path of what they stand at.
private func readComments(_ reader: WireReader) throws(SchemaError) -> [[Int]: String] {
  var comments: [[Int]: String] = [:]
  var locations = reader
  while let location = try locations.next() {
    guard location.number == 1 else { continue }
    var path: [Int] = []
    var leading = ""
    var trailing = ""
    var fields = try location.message()
    while let field = try fields.next() {
      switch field.number {
      case 1:
        var packed = try field.message()
        while !packed.isAtEnd { path.append(Int(truncatingIfNeeded: try packed.varint())) }
      case 3: leading = try field.string()
      case 4: trailing = try field.string()
      default: break
      }
    }
    let comment = trimmed(leading.isEmpty ? trailing : leading)
    if !comment.isEmpty { comments[path] = comment }
  }
  return comments
}

/// protoc keeps the space after `//`; people do not mean it.
private func trimmed(_ comment: String) -> String {
  var lines = comment.split(separator: "\n", omittingEmptySubsequences: false).map { line in
    line.first == " " ? line.dropFirst() : line
  }
  while lines.last?.isEmpty == true { lines.removeLast() }
  return lines.joined(separator: "\n")
}

/// Walks nested types and lays them out flat, with their full names.
struct TypeCollector {
  let isProto3: Bool
  let comments: [[Int]: String]
  private(set) var messages: [MessageDescriptor] = []
  private(set) var enums: [EnumDescriptor] = []
  private var counts: [[Int]: Int] = [:]

  init(isProto3: Bool, comments: [[Int]: String]) {
    self.isProto3 = isProto3
    self.comments = comments
  }

  /// - Parameter path: of the list the message is in, as in `SourceCodeInfo`; its index is appended.
  mutating func addMessage(
    _ reader: WireReader, scope: String, nesting: [String], path list: [Int]
  ) throws(SchemaError) {
    let path = list + [nextIndex(list)]
    let message = try MessageDescriptor(
      reading: reader, scope: scope, nesting: nesting, path: path, isProto3: isProto3, comments: comments)
    messages.append(message)
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 3:
        try addMessage(
          field.message(), scope: message.fullName, nesting: nesting + [message.name], path: path + [3])
      case 4:
        try addEnum(
          field.message(), scope: message.fullName, nesting: nesting + [message.name], path: path + [4])
      default: break
      }
    }
  }

  mutating func addEnum(
    _ reader: WireReader, scope: String, nesting: [String], path list: [Int]
  ) throws(SchemaError) {
    enums.append(
      try EnumDescriptor(
        reading: reader, scope: scope, nesting: nesting, path: list + [nextIndex(list)], comments: comments))
  }

  private mutating func nextIndex(_ list: [Int]) -> Int {
    defer { counts[list, default: 0] += 1 }
    return counts[list, default: 0]
  }
}

func qualified(_ name: String, in scope: String) -> String {
  scope.isEmpty ? name : "\(scope).\(name)"
}

/// Descriptors name types with a leading dot, which says that the name is complete.
func withoutLeadingDot(_ name: String) -> String {
  name.first == "." ? String(name.dropFirst()) : name
}
