/// The option `buf.validate.field`: what the value of a field must satisfy. The generated
/// `validate()` and the Edge run the same checks, so both give the same codes and sentences.
public struct FieldRules: Hashable, Sendable {
  /// Must be set; a scalar without presence must not be zero, a list not empty.
  public var isRequired: Bool
  /// Rules of the value, by the type of the field. They apply to a field with presence only when it is set.
  public var value: ValueRules?

  public init(isRequired: Bool = false, value: ValueRules? = nil) {
    self.isRequired = isRequired
    self.value = value
  }

  static let optionNumber = 1159

  /// Adds what one occurrence of the option says: protoc writes one for each line of the source.
  mutating func merge(_ reader: WireReader) throws(SchemaError) {
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 2, 3, 4, 5, 6, 14, 15, 16, 18:
        value = try ValueRules(type: field.number, reading: field.message(), onto: value)
      case 25: isRequired = try field.bool()
      default: throw SchemaError("buf.validate.FieldRules has no field \(field.number) here")
      }
    }
  }
}

/// Rules of a value. Int32 and Int64 share one case, as do UInt32 and UInt64.
public indirect enum ValueRules: Hashable, Sendable {
  case double(NumberRules<Double>)
  case int(NumberRules<Int64>)
  case uint(NumberRules<UInt64>)
  case string(StringRules)
  case bytes(SizeRules)
  case enumeration(EnumRules)
  case repeated(RepeatedRules)

  fileprivate init(type: Int, reading reader: WireReader, onto old: ValueRules?) throws(SchemaError) {
    switch type {
    case 2:
      var rules = NumberRules<Double>()
      if case .double(let before) = old { rules = before }
      try rules.merge(reader) { field throws(SchemaError) in try field.double() }
      self = .double(rules)
    case 3, 4:
      var rules = NumberRules<Int64>()
      if case .int(let before) = old { rules = before }
      try rules.merge(reader) { field throws(SchemaError) in try field.int64() }
      self = .int(rules)
    case 5, 6:
      var rules = NumberRules<UInt64>()
      if case .uint(let before) = old { rules = before }
      try rules.merge(reader) { field throws(SchemaError) in try field.uint64() }
      self = .uint(rules)
    case 14:
      var rules = StringRules()
      if case .string(let before) = old { rules = before }
      try rules.merge(reader)
      self = .string(rules)
    case 15:
      var rules = SizeRules()
      if case .bytes(let before) = old { rules = before }
      try rules.merge(reader)
      self = .bytes(rules)
    case 16:
      var rules = EnumRules()
      if case .enumeration(let before) = old { rules = before }
      try rules.merge(reader)
      self = .enumeration(rules)
    default:
      var rules = RepeatedRules()
      if case .repeated(let before) = old { rules = before }
      try rules.merge(reader)
      self = .repeated(rules)
    }
  }
}

/// Why a value was refused.
public struct RuleViolation: Hashable, Sendable {
  /// Stable, SCREAMING_SNAKE, e.g. `TOO_LONG`.
  public let code: String
  /// Goes on from the name of the field: "must be a UUID".
  public let message: String

  public init(code: String, message: String) {
    self.code = code
    self.message = message
  }

  public static let required = RuleViolation(code: "REQUIRED", message: "is required")
}
