/// What a list must satisfy, and each of its items.
public struct RepeatedRules: Hashable, Sendable {
  public var size: SizeRules
  /// No two items are equal. Scalars only.
  public var isUnique: Bool
  public var items: FieldRules?

  public init(size: SizeRules = SizeRules(), isUnique: Bool = false, items: FieldRules? = nil) {
    self.size = size
    self.isUnique = isUnique
    self.items = items
  }

  /// Checks the list as a whole; the rules of its items are checked item by item.
  public func check(count: Int) -> RuleViolation? {
    size.check(itemCount: count)
  }

  public static let duplicateItem = RuleViolation(
    code: "DUPLICATE_ITEM", message: "must not hold an item twice")

  mutating func merge(_ reader: WireReader) throws(SchemaError) {
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 1: size.minimum = try field.int()
      case 2: size.maximum = try field.int()
      case 3: isUnique = try field.bool()
      case 4:
        var rules = items ?? FieldRules()
        try rules.merge(field.message())
        items = rules
      default: throw SchemaError("buf.validate.RepeatedRules has no field \(field.number) here")
      }
    }
  }
}
