import Schema

/// The `validate` of a message: the rules of each field, and those of the messages in it.
struct SwiftValidation {
  private let message: MessageDescriptor
  private let fields: [SwiftField]
  private let contract: Contract

  private static let timestamp = "google.protobuf.Timestamp"

  init(_ message: MessageDescriptor, _ fields: [SwiftField], _ contract: Contract) {
    self.message = message
    self.fields = fields
    self.contract = contract
  }

  var isEmpty: Bool { !Self.hasRules(message, contract) }

  var needsRules: Bool {
    message.fullName == Self.timestamp
      || fields.contains { $0.descriptor.rules.map { $0.isRequired || $0.value != nil } ?? false }
  }

  /// Whether a message, or one in it, can break a rule.
  private static func hasRules(_ message: MessageDescriptor, _ contract: Contract) -> Bool {
    message.fullName == timestamp
      || message.fields.contains { field in
        if field.rules != nil { return true }
        guard case .message(let inner) = field.kind, let inner = contract.set.message(inner) else {
          return false
        }
        return hasRules(inner, contract)
      }
  }

  func write(to writer: inout SourceWriter) {
    let constants = fields.flatMap(constants)
    for constant in constants { writer.line(constant) }
    if !constants.isEmpty { writer.gap() }
    writer.block("package func validate(into violations: inout [FieldViolation]) {") { writer in
      if message.fullName == Self.timestamp {
        writer.line("violations.add(\"\", TimestampRules.check(seconds: seconds, nanos: nanos))")
      }
      for field in fields { check(field, to: &writer) }
    }
  }

  // MARK: Rules as constants

  private func constants(_ field: SwiftField) -> [String] {
    guard let value = field.descriptor.rules?.value else { return [] }
    let name = constantName(field)
    guard case .repeated(let rules) = value else {
      return ["private static let \(name) = \(literal(value))"]
    }
    var constants = ["private static let \(name) = \(literal(value))"]
    if let items = rules.items?.value {
      constants.append("private static let \(name.dropLast("Rules".count))ItemRules = \(literal(items))")
    }
    return constants
  }

  private func constantName(_ field: SwiftField) -> String {
    "\(lowerCamel(field.descriptor.name))Rules"
  }

  private func literal(_ rules: ValueRules) -> String {
    switch rules {
    case .double(let rules): "NumberRules<Double>(\(bounds(rules)))"
    case .int(let rules): "NumberRules<Int64>(\(bounds(rules)))"
    case .uint(let rules): "NumberRules<UInt64>(\(bounds(rules)))"
    case .string(let rules): "StringRules(\(arguments(rules)))"
    case .bytes(let rules): "SizeRules(\(arguments(rules)))"
    case .enumeration(let rules): "EnumRules(isDefinedOnly: \(rules.isDefinedOnly))"
    case .repeated(let rules):
      "RepeatedRules(size: SizeRules(\(arguments(rules.size)))\(rules.isUnique ? ", isUnique: true" : ""))"
    }
  }

  private func bounds<Value>(_ rules: NumberRules<Value>) -> String {
    var arguments: [String] = []
    switch rules.lower {
    case .above(let bound): arguments.append("lower: .above(\(bound))")
    case .atLeast(let bound): arguments.append("lower: .atLeast(\(bound))")
    case nil: break
    }
    switch rules.upper {
    case .below(let bound): arguments.append("upper: .below(\(bound))")
    case .atMost(let bound): arguments.append("upper: .atMost(\(bound))")
    case nil: break
    }
    if rules.isFinite { arguments.append("isFinite: true") }
    return arguments.joined(separator: ", ")
  }

  private func arguments(_ rules: SizeRules) -> String {
    var arguments: [String] = []
    if rules.minimum > 0 { arguments.append("minimum: \(rules.minimum)") }
    if let maximum = rules.maximum { arguments.append("maximum: \(maximum)") }
    return arguments.joined(separator: ", ")
  }

  private func arguments(_ rules: StringRules) -> String {
    var arguments: [String] = []
    if rules.minLength > 0 { arguments.append("minLength: \(rules.minLength)") }
    if let length = rules.maxLength { arguments.append("maxLength: \(length)") }
    if let bytes = rules.maxBytes { arguments.append("maxBytes: \(bytes)") }
    if let pattern = rules.pattern {
      arguments.append("pattern: Pattern(generated: \(quoted(pattern.source)))")
    }
    if !rules.allowed.isEmpty {
      arguments.append("allowed: [\(rules.allowed.map(quoted).joined(separator: ", "))]")
    }
    if let shape = rules.shape { arguments.append("shape: .\(shape)") }
    return arguments.joined(separator: ", ")
  }

  private func quoted(_ text: String) -> String {
    "#\"\(text)\"#"
  }

  // MARK: Checks

  private func check(_ field: SwiftField, to writer: inout SourceWriter) {
    let descriptor = field.descriptor
    let isRequired = descriptor.rules?.isRequired ?? false
    let path = "\"\(descriptor.name)\""
    let required = "violations.add(\(path), .required)"
    if let index = descriptor.oneofIndex, let oneof = message.oneofs.first(where: { $0.index == index }) {
      guard let rule = valueCheck(field, path: path, value: "value") else { return }
      writer.line("if case .\(field.name)(let value) = \(escaped(lowerCamel(oneof.name))) { \(rule) }")
      return
    }
    switch descriptor.cardinality {
    case .implicit:
      let rule = valueCheck(field, path: path, value: field.name)
      if isRequired {
        branch(writer: &writer, "if \(field.isZero) {", required, otherwise: rule)
      } else if let rule {
        writer.line(rule)
      }
    case .explicit:
      let rule = valueCheck(field, path: path, value: field.name)
      if isRequired, let rule {
        branch(writer: &writer, "if let \(field.name) {", rule, otherwise: required)
      } else if isRequired {
        branch(writer: &writer, "if \(field.name) == nil {", required, otherwise: nil)
      } else if let rule {
        branch(writer: &writer, "if let \(field.name) {", rule, otherwise: nil)
      }
    case .repeated:
      checkList(field, path: path, isRequired: isRequired, required: required, to: &writer)
    }
  }

  private func checkList(
    _ field: SwiftField, path: String, isRequired: Bool, required: String, to writer: inout SourceWriter
  ) {
    if isRequired { branch(writer: &writer, "if \(field.name).isEmpty {", required, otherwise: nil) }
    let elementPath = "\"\(field.descriptor.name)[\\(index)]\""
    let elementRule = valueCheck(field, path: elementPath, value: "element")
    func checkElements(_ writer: inout SourceWriter) {
      guard let elementRule else { return }
      writer.block("for (index, element) in \(field.name).enumerated() {") { $0.line(elementRule) }
    }
    guard case .repeated(let rules) = field.descriptor.rules?.value else { return checkElements(&writer) }
    let size = "Self.\(constantName(field)).check(count: \(field.name).count)"
    if rules.isUnique {
      branch(
        writer: &writer, "if Set(\(field.name)).count < \(field.name).count {",
        "violations.add(\(path), RepeatedRules.duplicateItem)", otherwise: nil)
    }
    guard elementRule != nil else { return writer.line("violations.add(\(path), \(size))") }
    // A list that is too long is not looked into.
    writer.line("if let violation = \(size) {")
    writer.indented("violations.add(\(path), violation)")
    writer.block("} else {") { checkElements(&$0) }
  }

  private func branch(writer: inout SourceWriter, _ condition: String, _ then: String, otherwise: String?) {
    writer.line(condition)
    writer.indented(then)
    if let otherwise {
      writer.line("} else {")
      writer.indented(otherwise)
    }
    writer.line("}")
  }

  /// The statement that checks one value, or nil when every value will do.
  private func valueCheck(_ field: SwiftField, path: String, value: String) -> String? {
    if case .message(let type) = field.descriptor.kind {
      guard let inner = contract.set.message(type), Self.hasRules(inner, contract) else { return nil }
      return "violations.add(\(path), in: \(value))"
    }
    guard var rules = field.descriptor.rules?.value else { return nil }
    var constant = constantName(field)
    if case .repeated(let list) = rules {
      guard let items = list.items?.value else { return nil }
      rules = items
      constant = "\(constant.dropLast("Rules".count))ItemRules"
    }
    let argument =
      switch rules {
      case .int where field.valueType != "Int64": "Int64(\(value))"
      case .uint where field.valueType != "UInt64": "UInt64(\(value))"
      case .bytes: "byteCount: \(value).readableBytes"
      case .enumeration: "isDefined: \(value).jsonName != nil"
      default: value
      }
    return "violations.add(\(path), Self.\(constant).check(\(argument)))"
  }
}
