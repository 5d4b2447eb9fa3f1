import Schema

// What the generator refuses, so that nobody meets it at run time.
extension Contract {
  /// The wire validator remembers in one word which fields it has seen.
  private static let maxFields = 64

  /// How deep messages may nest; the wire validator and protobuf-c recurse with them.
  private static let maxDepth = 32

  /// What generated code itself calls things.
  private static let takenNames: Set<String> = ["self", "c", "arena", "violations"]

  func refuseWhatIsNotSupported() throws(SchemaError) {
    for message in messages { try check(message) }
    try refuseRecursion()
    for file in files {
      for enumeration in file.enums { try check(enumeration) }
      for method in file.services.flatMap(\.methods) { try check(method) }
    }
    try refuseSameSwiftNames()
  }

  private func check(_ message: MessageDescriptor) throws(SchemaError) {
    guard message.fields.count <= Self.maxFields else {
      throw SchemaError("\(message.fullName) has more than \(Self.maxFields) fields; split it")
    }
    for field in message.fields {
      guard !Self.takenNames.contains(lowerCamel(field.name)) else {
        throw SchemaError("\(message.fullName).\(field.name): the name is taken by generated code")
      }
      guard field.rules.map({ $0.fit(field) }) ?? true else {
        throw SchemaError("\(message.fullName).\(field.name): its validation rules are of another type")
      }
    }
  }

  private func check(_ enumeration: EnumDescriptor) throws(SchemaError) {
    guard enumeration.values.first?.number == 0, enumeration.values.allSatisfy({ $0.number >= 0 }) else {
      throw SchemaError("\(enumeration.fullName) must begin with 0 and hold no negative values")
    }
    guard Set(enumeration.values.map(\.number)).count == enumeration.values.count else {
      throw SchemaError("\(enumeration.fullName): aliases are not supported")
    }
  }

  private func check(_ method: MethodDescriptor) throws(SchemaError) {
    guard let access = method.access else {
      throw SchemaError(
        "\(method.path) has no (mainstreet.options.v1.access): every rpc must say who may call it")
    }
    guard method.routes.isEmpty || access.rateClass != nil else {
      throw SchemaError("\(method.path) has a route but no rate_class")
    }
    guard let input = set.message(method.inputType), let output = set.message(method.outputType) else {
      return
    }
    // On the wire a map is a list of entries, and that is what it is in Swift; in JSON it would be an object.
    if !method.routes.isEmpty, let map = mapEntry(in: input) ?? mapEntry(in: output) {
      throw SchemaError(
        "\(map): map fields are not supported in rpcs with a route; use a repeated message")
    }
    for route in method.routes {
      for path in route.template.variables {
        guard path.count == 1, let field = input.field(named: path[0]), !field.isRepeated,
          !field.kind.isMessage
        else {
          throw SchemaError(
            "\(method.path): {\(path.joined(separator: "."))} of '\(route.template.source)' is no scalar field of \(input.fullName)"
          )
        }
      }
      if case .field(let name) = route.body, input.field(named: name) == nil {
        throw SchemaError("\(method.path): body '\(name)' is no field of \(input.fullName)")
      }
      if let name = route.responseBody, output.field(named: name) == nil {
        throw SchemaError("\(method.path): response_body '\(name)' is no field of \(output.fullName)")
      }
    }
  }

  private func mapEntry(in message: MessageDescriptor) -> String? {
    if message.isMapEntry { return message.fullName }
    for field in message.fields {
      if case .message(let name) = field.kind, let inner = set.message(name), let map = mapEntry(in: inner) {
        return map
      }
    }
    return nil
  }

  /// A message within itself could nest without end.
  private func refuseRecursion() throws(SchemaError) {
    func visit(_ name: String, _ path: [String]) throws(SchemaError) {
      guard !path.contains(name) else {
        throw SchemaError("\(name) contains itself: recursion is not supported")
      }
      guard path.count < Self.maxDepth else {
        throw SchemaError("\(path[0]) nests deeper than \(Self.maxDepth)")
      }
      guard let message = set.message(name) else { return }
      for field in message.fields {
        if case .message(let inner) = field.kind { try visit(inner, path + [name]) }
      }
    }
    for message in messages { try visit(message.fullName, []) }
  }

  /// Swift names leave the package out.
  private func refuseSameSwiftNames() throws(SchemaError) {
    var taken: [String: String] = [:]
    let names =
      messages.map { (swiftName($0), $0.fullName) }
      + files.flatMap(\.enums).map { (swiftName($0), $0.fullName) }
      + files.flatMap(\.services).flatMap { [($0.name, $0.fullName), ("\($0.name)Client", $0.fullName)] }
    for (swift, proto) in names {
      if let other = taken.updateValue(proto, forKey: swift) {
        throw SchemaError("\(proto) and \(other) would both be \(swift) in Swift")
      }
    }
  }
}

extension FieldRules {
  /// Whether the rules are of the type of the field.
  fileprivate func fit(_ field: FieldDescriptor) -> Bool {
    guard let value else { return true }
    if case .repeated(let rules) = value {
      return field.isRepeated && (rules.items?.value.map { fits($0, field.kind) } ?? true)
    }
    return !field.isRepeated && fits(value, field.kind)
  }

  private func fits(_ value: ValueRules, _ kind: FieldDescriptor.Kind) -> Bool {
    switch (value, kind) {
    case (.double, .double), (.string, .string), (.bytes, .bytes), (.enumeration, .enumeration),
      (.int, .int32), (.int, .int64), (.uint, .uint32), (.uint, .uint64):
      true
    default:
      false
    }
  }
}
