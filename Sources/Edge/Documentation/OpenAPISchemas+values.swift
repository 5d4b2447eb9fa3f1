import Schema

// What a field holds: its type and its rules as JSON Schema 2020-12.
extension OpenAPISchemas {
  /// - Parameter isNullable: null may stand for it, which means that it is not given.
  mutating func value(of field: Field, _ use: Use, isNullable: Bool = false) throws(SchemaError) -> JSONObject
  {
    guard field.isRepeated else {
      let value = try single(
        field, field.table.rules, use, mustNotBeZero: use != .response && field.table.mustNotBeZero)
      return isNullable ? Self.nullable(value) : value
    }
    let items = try single(field, field.table.rules, use, mustNotBeZero: false)
    var list: JSONObject = ["type": isNullable ? ["array", "null"] : "array", "items": .object(items)]
    let size = field.table.listRules?.size ?? SizeRules()
    let minimum = max(size.minimum, use != .response && field.table.mustNotBeZero ? 1 : 0)
    if minimum > 0 { list["minItems"] = .number(minimum) }
    if let maximum = size.maximum { list["maxItems"] = .number(maximum) }
    if field.table.listRules?.isUnique == true { list["uniqueItems"] = true }
    return list
  }

  private static func nullable(_ schema: JSONObject) -> JSONObject {
    guard case .string(let type)? = schema["type"] else {
      if case .array(let types)? = schema["type"] {
        var nullable = schema
        nullable["type"] = .array(types + ["null"])
        return nullable
      }
      return ["anyOf": [.object(schema), ["type": "null"]]]
    }
    var nullable = schema
    nullable["type"] = [.string(type), "null"]
    return nullable
  }

  private mutating func single(
    _ field: Field, _ rules: ValueRules?, _ use: Use, mustNotBeZero: Bool
  ) throws(SchemaError) -> JSONObject {
    switch field.table.kind {
    case .message(let table): return try reference(to: table.name, use)
    case .jsonObject: return ["type": "object", "additionalProperties": true]
    case .enumeration:
      guard case .enumeration(let name) = field.kind else { return [:] }
      return try enumeration(name, mustBeChosen: mustNotBeZero)
    case .bool: return mustNotBeZero ? ["type": "boolean", "const": true] : ["type": "boolean"]
    case .string: return string(rules, mustNotBeZero: mustNotBeZero)
    case .bytes: return bytes(rules, mustNotBeZero: mustNotBeZero)
    case .timestamp: return Self.timestamp
    case .duration: return ["type": "string", "pattern": #"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"#]
    case .integer(let format): return integer(format, rules, use, mustNotBeZero: mustNotBeZero)
    case .float: return number("float", rules)
    case .double: return number("double", rules)
    }
  }

  // MARK: Text

  private mutating func string(_ rules: ValueRules?, mustNotBeZero: Bool) -> JSONObject {
    var rule = StringRules()
    if case .string(let given)? = rules { rule = given }
    switch rule.shape {
    case .ianaZone:
      return names(
        "TimeZone", "A time zone of the IANA database, as this server knows it.", TimeZoneNames.system.names)
    case .currency: return names("Currency", "A currency of ISO 4217.", StringRules.currencies)
    default: break
    }
    var schema: JSONObject = ["type": "string"]
    switch rule.shape {
    case .uuid: schema["format"] = "uuid"
    case .email: schema["format"] = "email"
    case .e164: schema["pattern"] = #"^\+[1-9][0-9]{6,14}$"#
    default: break
    }
    let minLength = max(rule.minLength, mustNotBeZero ? 1 : 0)
    if minLength > 0 { schema["minLength"] = .number(minLength) }
    if let maxLength = rule.maxLength { schema["maxLength"] = .number(maxLength) }
    if let maxBytes = rule.maxBytes { schema["x-max-bytes"] = .number(maxBytes) }
    if let pattern = rule.pattern { schema["pattern"] = .string(pattern.source) }
    if !rule.allowed.isEmpty { schema["enum"] = .strings(rule.allowed) }
    return schema
  }

  private func bytes(_ rules: ValueRules?, mustNotBeZero: Bool) -> JSONObject {
    var schema: JSONObject = ["type": "string", "contentEncoding": "base64"]
    guard case .bytes(let size)? = rules else { return schema }
    // Three bytes are four characters.
    let minimum = max(size.minimum, mustNotBeZero ? 1 : 0)
    if minimum > 0 { schema["minLength"] = .number((minimum * 4 + 2) / 3) }
    if let maximum = size.maximum { schema["maxLength"] = .number((maximum + 2) / 3 * 4) }
    return schema
  }

  /// `date-time` knows neither the years 0 nor ten digits of a second, but does not say so.
  private static let timestamp: JSONObject = [
    "type": "string", "format": "date-time",
    "pattern": .string(
      "^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
        + #"(\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"#),
  ]

  // MARK: Numbers

  private func integer(
    _ format: IntegerFormat, _ rules: ValueRules?, _ use: Use, mustNotBeZero: Bool
  ) -> JSONObject {
    var schema: JSONObject = [
      "type": "integer", "format": .string((format.isSigned ? "int" : "uint") + "\(format.bits)"),
    ]
    if format.bits == 64, use != .parameter {
      schema["type"] = ["integer", "string"]
      schema["pattern"] = format.isSigned ? "^-?[0-9]{1,19}$" : "^[0-9]{1,20}$"
    }
    let limit = UInt64(1) << UInt64(format.isSigned ? format.bits - 1 : format.bits - 1)
    schema["minimum"] = .number(format.isSigned ? "-\(limit)" : "0")
    schema["maximum"] = .number("\(format.isSigned ? limit - 1 : limit - 1 + limit)")
    switch rules {
    case .int(let rules)?: Self.add(rules, to: &schema)
    case .uint(let rules)?: Self.add(rules, to: &schema)
    default: break
    }
    if mustNotBeZero { schema["not"] = ["const": 0] }
    return schema
  }

  private func number(_ format: String, _ rules: ValueRules?) -> JSONObject {
    var schema: JSONObject = ["type": "number", "format": .string(format)]
    if case .double(let rules)? = rules { Self.add(rules, to: &schema) }
    return schema
  }

  /// A bound is closed or open, and takes the place of the type's own.
  private static func add<Value>(_ rules: NumberRules<Value>, to schema: inout JSONObject) {
    switch rules.lower {
    case .atLeast(let bound): schema["minimum"] = .number("\(bound)")
    case .above(let bound):
      schema["minimum"] = nil
      schema["exclusiveMinimum"] = .number("\(bound)")
    case nil: break
    }
    switch rules.upper {
    case .atMost(let bound): schema["maximum"] = .number("\(bound)")
    case .below(let bound):
      schema["maximum"] = nil
      schema["exclusiveMaximum"] = .number("\(bound)")
    case nil: break
    }
  }
}
