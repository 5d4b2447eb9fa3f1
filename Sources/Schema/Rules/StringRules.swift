/// What a string must satisfy.
public struct StringRules: Hashable, Sendable {
  /// A well-known form.
  public enum Shape: Hashable, Sendable {
    /// `local@domain.tld`, at most 254 bytes; quoted local parts and address literals are refused.
    case email
    /// 8-4-4-4-12 hexadecimal digits in either case (RFC 9562).
    case uuid
    /// `+` and 7 to 15 digits, the first not 0 (ITU-T E.164).
    case e164
    /// A name in the IANA time zone database, e.g. `America/Chicago`.
    case ianaZone
    /// An active code of ISO 4217, e.g. `EUR`.
    case currency
  }

  /// In Unicode scalars, as protovalidate counts.
  public var minLength: Int
  /// In Unicode scalars, as protovalidate counts.
  public var maxLength: Int?
  public var maxBytes: Int?
  public var pattern: Pattern?
  /// When not empty, the value must be one of these.
  public var allowed: [String]
  public var shape: Shape?

  public init(
    minLength: Int = 0, maxLength: Int? = nil, maxBytes: Int? = nil, pattern: Pattern? = nil,
    allowed: [String] = [], shape: Shape? = nil
  ) {
    self.minLength = minLength
    self.maxLength = maxLength
    self.maxBytes = maxBytes
    self.pattern = pattern
    self.allowed = allowed
    self.shape = shape
  }

  /// What `Shape.currency` takes.
  public static var currencies: Set<String> { activeCurrencies }

  public func check(_ value: String) -> RuleViolation? {
    checkSize(value) ?? checkForm(value)
  }

  private func checkSize(_ value: String) -> RuleViolation? {
    let byteCount = value.utf8.count
    if let maxBytes, byteCount > maxBytes {
      return RuleViolation(code: "TOO_LONG", message: "must have at most \(counted(maxBytes, "byte"))")
    }
    // A scalar takes 1 to 4 bytes, so that most values need no counting.
    if byteCount < 4 * minLength, value.unicodeScalars.count < minLength {
      return minLength == 1
        ? RuleViolation(code: "TOO_SHORT", message: "must not be empty")
        : RuleViolation(code: "TOO_SHORT", message: "must have at least \(minLength) characters")
    }
    if let maxLength, byteCount > maxLength, value.unicodeScalars.count > maxLength {
      return RuleViolation(code: "TOO_LONG", message: "must have at most \(counted(maxLength, "character"))")
    }
    return nil
  }

  private func checkForm(_ value: String) -> RuleViolation? {
    if let pattern, !pattern.matches(value) {
      return RuleViolation(code: "PATTERN_MISMATCH", message: "must match \(pattern.source)")
    }
    if !allowed.isEmpty, !allowed.contains(value) {
      return RuleViolation(
        code: "UNKNOWN_VALUE", message: "must be one of \(allowed.joined(separator: ", "))")
    }
    switch shape {
    case .email where !isEmail(value):
      return RuleViolation(code: "INVALID_EMAIL", message: "must be an e-mail address")
    case .uuid where !isUUID(value):
      return RuleViolation(code: "INVALID_UUID", message: "must be a UUID")
    case .e164 where !isE164(value):
      return RuleViolation(
        code: "INVALID_PHONE_NUMBER", message: "must be a phone number in E.164 form, such as +13125550123")
    case .ianaZone where !TimeZoneNames.system.contains(value):
      return RuleViolation(
        code: "UNKNOWN_TIME_ZONE", message: "must be an IANA time zone, such as America/Chicago")
    case .currency where !activeCurrencies.contains(value):
      return RuleViolation(
        code: "UNKNOWN_CURRENCY", message: "must be an ISO 4217 currency code, such as USD")
    default:
      return nil
    }
  }

  mutating func merge(_ reader: WireReader) throws(SchemaError) {
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 2: minLength = try field.int()
      case 3: maxLength = try field.int()
      case 5: maxBytes = try field.int()
      case 6: pattern = try Pattern(field.string())
      case 10: allowed.append(try field.string())
      case 12: if try field.bool() { shape = .email }
      case 22: if try field.bool() { shape = .uuid }
      case 50101: if try field.bool() { shape = .e164 }
      case 50102: if try field.bool() { shape = .ianaZone }
      case 50103: if try field.bool() { shape = .currency }
      default: throw SchemaError("buf.validate.StringRules has no field \(field.number) here")
      }
    }
  }
}
