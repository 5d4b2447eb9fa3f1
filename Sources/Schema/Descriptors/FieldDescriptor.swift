/// One field of a message.
public struct FieldDescriptor: Sendable {
  public enum Kind: Hashable, Sendable {
    case double, float
    case int32, int64, uint32, uint64, sint32, sint64
    case fixed32, fixed64, sfixed32, sfixed64
    case bool, string, bytes
    /// With the full name of the type.
    case message(String)
    /// With the full name of the type.
    case enumeration(String)
  }

  public enum Cardinality: Hashable, Sendable {
    /// A scalar without presence: absent and zero are the same.
    case implicit
    /// Knows whether it is set: messages, `optional` scalars, members of a oneof.
    case explicit
    case repeated
  }

  /// As in the proto file, e.g. `day_of_week`.
  public let name: String
  /// e.g. `dayOfWeek`
  public let jsonName: String
  public let number: Int
  public let kind: Kind
  public let cardinality: Cardinality
  /// Whether a repeated scalar is written as one length-delimited field. Readers accept both.
  public let isPacked: Bool
  /// The oneof of the source it belongs to, by `OneofDescriptor.index`; nil for `optional`.
  public let oneofIndex: Int?
  /// Whether the source says `optional`.
  public let isOptional: Bool
  public let isDeprecated: Bool
  /// Whether the string is the text of a JSON object, which public JSON shows as the object itself.
  public let isJSONObject: Bool
  /// What a value must satisfy, or nil when anything of the type will do.
  public let rules: FieldRules?
  public let comment: String

  public var isRepeated: Bool { cardinality == .repeated }

  /// `mainstreet.options.v1.json_object`
  private static let jsonObjectOption = 50101

  init(reading reader: WireReader, isProto3: Bool, comment: String) throws(SchemaError) {
    var name = ""
    var jsonName = ""
    var number = 0
    var label = 1
    var type = 0
    var typeName = ""
    var oneofIndex: Int?
    var isProto3Optional = false
    var packed: Bool?
    var isDeprecated = false
    var isJSONObject = false
    var rules: FieldRules?

    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 1: name = try field.string()
      case 3: number = try field.int()
      case 4: label = try field.int()
      case 5: type = try field.int()
      case 6: typeName = withoutLeadingDot(try field.string())
      case 8:
        var options = try field.message()
        while let option = try options.next() {
          switch option.number {
          case 2: packed = try option.bool()
          case 3: isDeprecated = try option.bool()
          case Self.jsonObjectOption: isJSONObject = try option.bool()
          case FieldRules.optionNumber:
            rules = rules ?? FieldRules()
            do {
              try rules?.merge(option.message())
            } catch {
              throw SchemaError("rules of field \(name): \(error)")
            }
          default: break
          }
        }
      case 9: oneofIndex = try field.int()
      case 10: jsonName = try field.string()
      case 17: isProto3Optional = try field.bool()
      default: break
      }
    }

    guard let kind = Kind(type: type, typeName: typeName) else {
      throw SchemaError("field \(name) has type \(type), which is not supported")
    }
    guard kind == .string || !isJSONObject else {
      throw SchemaError("field \(name) is no string, so it cannot hold the text of a JSON object")
    }
    self.name = name
    self.jsonName = jsonName
    self.number = number
    self.kind = kind
    self.oneofIndex = isProto3Optional ? nil : oneofIndex
    isOptional = isProto3Optional
    self.isDeprecated = isDeprecated
    self.isJSONObject = isJSONObject
    self.rules = rules
    self.comment = comment
    if label == 3 {
      cardinality = .repeated
    } else if kind.isMessage || oneofIndex != nil || !isProto3 {
      cardinality = .explicit
    } else {
      cardinality = .implicit
    }
    isPacked = label == 3 && kind.isPackable && (packed ?? isProto3)
  }
}

extension FieldDescriptor.Kind {
  public var isMessage: Bool {
    if case .message = self { true } else { false }
  }

  /// Whether several values may share one length-delimited field.
  public var isPackable: Bool {
    switch self {
    case .string, .bytes, .message: false
    default: true
    }
  }

  /// - Parameter type: a number of `google.protobuf.FieldDescriptorProto.Type`. Groups (10) are refused.
  fileprivate init?(type: Int, typeName: String) {
    switch type {
    case 1: self = .double
    case 2: self = .float
    case 3: self = .int64
    case 4: self = .uint64
    case 5: self = .int32
    case 6: self = .fixed64
    case 7: self = .fixed32
    case 8: self = .bool
    case 9: self = .string
    case 11: self = .message(typeName)
    case 12: self = .bytes
    case 13: self = .uint32
    case 14: self = .enumeration(typeName)
    case 15: self = .sfixed32
    case 16: self = .sfixed64
    case 17: self = .sint32
    case 18: self = .sint64
    default: return nil
    }
  }
}
