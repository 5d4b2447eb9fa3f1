/// One message type.
public struct MessageDescriptor: Sendable {
  /// e.g. `Store`
  public let name: String
  /// e.g. `mainstreet.store.v1.Store`
  public let fullName: String
  /// Names of the messages it is nested in, outermost first.
  public let nesting: [String]
  /// In the order of the source.
  public let fields: [FieldDescriptor]
  /// Names of the oneofs of the source; those that stand for `optional` are not among them.
  public let oneofs: [OneofDescriptor]
  /// The synthetic message behind a `map` field.
  public let isMapEntry: Bool
  public let comment: String

  private let indexByNumber: [Int: Int]
  private let indexByName: [String: Int]

  public func field(number: Int) -> FieldDescriptor? {
    indexByNumber[number].map { fields[$0] }
  }

  /// - Parameter name: the JSON name or the name in the proto file: JSON input may use either.
  public func field(named name: String) -> FieldDescriptor? {
    indexByName[name].map { fields[$0] }
  }

  init(
    reading reader: WireReader, scope: String, nesting: [String], path: [Int], isProto3: Bool,
    comments: [[Int]: String]
  ) throws(SchemaError) {
    var name = ""
    var fields: [FieldDescriptor] = []
    var oneofNames: [String] = []
    var isMapEntry = false
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 1: name = try field.string()
      case 2:
        fields.append(
          try FieldDescriptor(
            reading: field.message(), isProto3: isProto3, comment: comments[path + [2, fields.count]] ?? ""))
      case 7:
        var options = try field.message()
        while let option = try options.next() {
          if option.number == 7 { isMapEntry = try option.bool() }
        }
      case 8:
        var oneof = try field.message()
        while let part = try oneof.next() {
          if part.number == 1 { oneofNames.append(try part.string()) }
        }
      default: break
      }
    }
    let usedOneofs = Set(fields.compactMap(\.oneofIndex))
    self.name = name
    self.nesting = nesting
    self.fields = fields
    self.isMapEntry = isMapEntry
    fullName = qualified(name, in: scope)
    comment = comments[path] ?? ""
    oneofs = oneofNames.enumerated().filter { usedOneofs.contains($0.offset) }.map { index, name in
      OneofDescriptor(name: name, index: index, comment: comments[path + [8, index]] ?? "")
    }
    indexByNumber = Dictionary(
      fields.enumerated().map { ($1.number, $0) }, uniquingKeysWith: { first, _ in first })
    indexByName = Dictionary(
      fields.enumerated().flatMap { [($1.jsonName, $0), ($1.name, $0)] },
      uniquingKeysWith: { first, _ in first })
  }
}

/// Fields of which at most one is set.
public struct OneofDescriptor: Sendable {
  public let name: String
  /// What `FieldDescriptor.oneofIndex` refers to.
  public let index: Int
  public let comment: String
}
