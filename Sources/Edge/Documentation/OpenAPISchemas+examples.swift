import Schema

// Values that keep the rules, for people to look at and to begin from.
extension OpenAPISchemas {
  /// - Parameter fields: of one message. Of a oneof only the first member is shown.
  func example(of fields: [Field]) -> JSONValue {
    var object = JSONObject()
    var oneofs: Set<Int> = []
    for field in fields {
      if let oneof = field.oneofIndex, !oneofs.insert(oneof).inserted { continue }
      object[field.jsonName] = example(of: field)
    }
    return .object(object)
  }

  func example(of field: Field) -> JSONValue {
    let value = single(field)
    guard field.isRepeated else { return value }
    let count = max(1, field.table.listRules?.size.minimum ?? 1)
    return .array(Array(repeating: value, count: count))
  }

  private func single(_ field: Field) -> JSONValue {
    switch field.table.kind {
    case .bool: return true
    case .integer: return .number(integer(field.table.rules))
    case .float, .double: return .number(double(field.table.rules))
    case .string: return .string(string(field))
    case .bytes: return "AQID"
    case .jsonObject: return [:]
    case .timestamp: return "2025-06-14T10:00:00Z"
    case .duration: return "1.5s"
    case .enumeration(let table):
      return .string((table.values.first { $0.number != 0 } ?? table.values.first)?.jsonName ?? "")
    case .message(let table):
      guard let message = message(table.name) else { return [:] }
      return example(of: zip(message.fields, table.fields).map { Field(descriptor: $0, table: $1) })
    }
  }

  private func integer(_ rules: ValueRules?) -> Int64 {
    var lower = Int64.min
    var upper = Int64.max
    switch rules {
    case .int(let rules)?: (lower, upper) = bounds(rules)
    case .uint(let rules)?: (lower, upper) = bounds(rules)
    default: break
    }
    return min(max(1, lower), upper)
  }

  private func bounds<Value: BinaryInteger>(_ rules: NumberRules<Value>) -> (Int64, Int64) {
    var lower = Int64.min
    var upper = Int64.max
    switch rules.lower {
    case .atLeast(let bound): lower = Int64(clamping: bound)
    case .above(let bound): lower = Int64(clamping: bound) + 1
    case nil: break
    }
    switch rules.upper {
    case .atMost(let bound): upper = Int64(clamping: bound)
    case .below(let bound): upper = Int64(clamping: bound) - 1
    case nil: break
    }
    return (lower, upper)
  }

  private func double(_ rules: ValueRules?) -> String {
    guard case .double(let rules)? = rules else { return "0.5" }
    return "\([0.5, 1, 0, 100, -0.5, 1e6].first { rules.check($0) == nil } ?? 0.5)"
  }

  private func string(_ field: Field) -> String {
    var rules = StringRules()
    if case .string(let given)? = field.table.rules { rules = given }
    if let allowed = rules.allowed.first { return allowed }
    switch rules.shape {
    case .uuid: return Self.uuid
    case .email: return "owner@example.com"
    case .e164: return "+13125550123"
    case .ianaZone: return "America/Chicago"
    case .currency: return "USD"
    case nil: break
    }
    if let pattern = rules.pattern { return pattern.example ?? "" }
    if field.comment.hasPrefix("UUID") { return Self.uuid }
    var text = field.name.replacing("_", with: " ")
    if let maxLength = rules.maxLength { text = String(text.prefix(maxLength)) }
    return text.padding(to: rules.minLength)
  }

  private static let uuid = "0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f"
}

extension String {
  fileprivate func padding(to length: Int) -> String {
    self + String(repeating: "x", count: max(0, length - unicodeScalars.count))
  }
}
