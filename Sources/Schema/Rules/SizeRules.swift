/// How many: bytes of a `bytes` field, items of a list.
public struct SizeRules: Hashable, Sendable {
  public var minimum: Int
  public var maximum: Int?

  public init(minimum: Int = 0, maximum: Int? = nil) {
    self.minimum = minimum
    self.maximum = maximum
  }

  public func check(byteCount count: Int) -> RuleViolation? {
    if count < minimum {
      return RuleViolation(code: "TOO_SHORT", message: "must have at least \(counted(minimum, "byte"))")
    }
    if let maximum, count > maximum {
      return RuleViolation(code: "TOO_LONG", message: "must have at most \(counted(maximum, "byte"))")
    }
    return nil
  }

  public func check(itemCount count: Int) -> RuleViolation? {
    if count < minimum {
      return RuleViolation(code: "TOO_FEW_ITEMS", message: "must have at least \(counted(minimum, "item"))")
    }
    if let maximum, count > maximum {
      return RuleViolation(code: "TOO_MANY_ITEMS", message: "must have at most \(counted(maximum, "item"))")
    }
    return nil
  }

  /// `buf.validate.BytesRules`.
  mutating func merge(_ reader: WireReader) throws(SchemaError) {
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 2: minimum = try field.int()
      case 3: maximum = try field.int()
      default: throw SchemaError("buf.validate.BytesRules has no field \(field.number) here")
      }
    }
  }
}

func counted(_ count: Int, _ noun: String) -> String {
  count == 1 ? "1 \(noun)" : "\(count) \(noun)s"
}
