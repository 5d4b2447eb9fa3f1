/// Bounds of a number.
public struct NumberRules<Value: Comparable & Hashable & Sendable>: Hashable, Sendable {
  public enum Lower: Hashable, Sendable {
    case above(Value)
    case atLeast(Value)
  }
  public enum Upper: Hashable, Sendable {
    case below(Value)
    case atMost(Value)
  }

  public var lower: Lower?
  public var upper: Upper?
  /// Neither infinite nor NaN; of doubles.
  public var isFinite = false

  public init(lower: Lower? = nil, upper: Upper? = nil, isFinite: Bool = false) {
    self.lower = lower
    self.upper = upper
    self.isFinite = isFinite
  }

  public func check(_ value: Value) -> RuleViolation? {
    // Written so that NaN, which compares with nothing, breaks every bound.
    let isHighEnough =
      switch lower {
      case .above(let bound): value > bound
      case .atLeast(let bound): value >= bound
      case nil: true
      }
    let isLowEnough =
      switch upper {
      case .below(let bound): value < bound
      case .atMost(let bound): value <= bound
      case nil: true
      }
    if isHighEnough && isLowEnough && (!isFinite || isFiniteNumber(value)) { return nil }
    return RuleViolation(code: "OUT_OF_RANGE", message: "must be \(expectation)")
  }

  private var expectation: String {
    var parts: [String] = []
    switch lower {
    case .above(let bound): parts.append("above \(bound)")
    case .atLeast(let bound): parts.append("at least \(bound)")
    case nil: break
    }
    switch upper {
    case .below(let bound): parts.append("below \(bound)")
    case .atMost(let bound): parts.append("at most \(bound)")
    case nil: break
    }
    if parts.isEmpty { parts.append("a finite number") }
    return parts.joined(separator: " and ")
  }

  private func isFiniteNumber(_ value: Value) -> Bool {
    (value as? Double)?.isFinite ?? true
  }

  mutating func merge(
    _ reader: WireReader, _ read: (WireField) throws(SchemaError) -> Value
  ) throws(SchemaError) {
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 2: upper = .below(try read(field))
      case 3: upper = .atMost(try read(field))
      case 4: lower = .above(try read(field))
      case 5: lower = .atLeast(try read(field))
      case 8: isFinite = try field.bool()
      default: throw SchemaError("number rules have no field \(field.number) here")
      }
    }
  }
}
