/// What the value of an enum field must satisfy.
public struct EnumRules: Hashable, Sendable {
  /// A number the enum has no name for is refused.
  public var isDefinedOnly: Bool

  public init(isDefinedOnly: Bool = false) {
    self.isDefinedOnly = isDefinedOnly
  }

  public func check(isDefined: Bool) -> RuleViolation? {
    guard isDefinedOnly && !isDefined else { return nil }
    return RuleViolation(code: "UNKNOWN_VALUE", message: "must be one of the values the API defines")
  }

  mutating func merge(_ reader: WireReader) throws(SchemaError) {
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 2: isDefinedOnly = try field.bool()
      default: throw SchemaError("buf.validate.EnumRules has no field \(field.number) here")
      }
    }
  }
}
