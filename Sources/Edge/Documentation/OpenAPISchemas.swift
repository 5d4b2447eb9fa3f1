import Schema

/// The schemas of messages and enums, each made when something first refers to it.
struct OpenAPISchemas {
  /// The same message is stricter in a request, which may hold nothing else, and fuller in an answer, in which zeros
  /// and empty lists are written.
  enum Use { case request, response, parameter }

  /// A field with what the transcoder makes of it.
  @dynamicMemberLookup
  struct Field {
    let descriptor: FieldDescriptor
    let table: FieldTable

    subscript<Value>(dynamicMember path: KeyPath<FieldDescriptor, Value>) -> Value {
      descriptor[keyPath: path]
    }
    var isRequired: Bool { table.isRequired }
    var isText: Bool { table.isText }
  }

  static let empty = "google.protobuf.Empty"

  private let schema: DescriptorSet
  private var compiler: TableCompiler
  private var made: [String: JSONObject] = [:]
  /// Messages that stand in requests and in answers, and so have two schemas.
  private let shared: Set<String>

  init(_ schema: DescriptorSet, describing methods: [MethodDescriptor]) {
    self.schema = schema
    compiler = TableCompiler(schema)
    let routed = methods.filter { !$0.routes.isEmpty }
    let requests = Self.reachable(from: routed.map(\.inputType), in: schema)
    let responses = Self.reachable(from: routed.map(\.outputType), in: schema)
    shared = requests.intersection(responses)
  }

  private static func reachable(from roots: [String], in schema: DescriptorSet) -> Set<String> {
    var reached: Set<String> = []
    var waiting = roots
    while let name = waiting.popLast() {
      guard reached.insert(name).inserted, let message = schema.message(name) else { continue }
      for field in message.fields {
        if case .message(let inner) = field.kind { waiting.append(inner) }
      }
    }
    return reached
  }

  /// Of `components`, by name.
  var components: JSONObject {
    var schemas = OpenAPIProblems.schemas
    for (name, schema) in made.sorted(by: { $0.key < $1.key }) { schemas[name] = .object(schema) }
    return schemas
  }

  func message(_ name: String) -> MessageDescriptor? { schema.message(name) }

  mutating func fields(of name: String) throws(SchemaError) -> [Field] {
    let table = try compiler.message(name)
    guard let message = schema.message(name) else { throw SchemaError("\(name) is not declared") }
    return zip(message.fields, table.fields).map { Field(descriptor: $0, table: $1) }
  }

  // MARK: Messages and enums

  /// - Parameter without: proto names of fields that come from elsewhere.
  mutating func reference(
    to name: String, _ use: Use, without: Set<String> = []
  ) throws(SchemaError) -> JSONObject {
    guard let message = schema.message(name) else { throw SchemaError("\(name) is not declared") }
    var component = (message.nesting + [message.name]).joined(separator: ".")
    if use != .response, shared.contains(name) { component += "Input" }
    if made[component] == nil {
      made[component] = [:]
      made[component] = try object(message, use, without: without)
    }
    return ["$ref": .string("#/components/schemas/\(component)")]
  }

  private mutating func object(
    _ message: MessageDescriptor, _ use: Use, without: Set<String>
  ) throws(SchemaError) -> JSONObject {
    var properties = JSONObject()
    var required: [String] = []
    for field in try fields(of: message.fullName) where !without.contains(field.name) {
      var value = try value(of: field, use, isNullable: use == .request && !field.isRequired)
      if !field.comment.isEmpty { value["description"] = .string(field.comment) }
      if field.isDeprecated { value["deprecated"] = true }
      properties[field.jsonName] = .object(value)
      let isWritten = field.table.shape != .optional
      if use == .response ? isWritten : field.isRequired { required.append(field.jsonName) }
    }
    var object: JSONObject = [
      "type": "object", "description": .string(message.comment), "properties": .object(properties),
    ]
    if !required.isEmpty { object["required"] = .strings(required) }
    // Answers gain members as the contract grows; requests may not guess at them.
    if use == .request { object["additionalProperties"] = false }
    let choices = message.oneofs.map { oneof in
      message.fields.filter { $0.oneofIndex == oneof.index }.map(\.jsonName)
    }
    if !choices.isEmpty { object["allOf"] = .array(choices.map(Self.atMostOne)) }
    return object
  }

  private static func atMostOne(of names: [String]) -> JSONValue {
    let each = names.map { JSONValue.object(["required": [.string($0)]]) }
    return ["oneOf": .array(each + [["not": ["anyOf": .array(each)]]])]
  }

  /// - Parameter mustBeChosen: the zero, which says that nothing was chosen, will not do.
  mutating func enumeration(
    _ name: String, mustBeChosen: Bool
  ) throws(SchemaError) -> JSONObject {
    guard let enumeration = schema.enumeration(name) else { throw SchemaError("\(name) is not declared") }
    let values = enumeration.values.filter { $0.number != 0 || !mustBeChosen }
    let lines = values.map { "- `\($0.jsonName)`: \($0.comment.replacing("\n", with: " "))" }
    let schema: JSONObject = [
      "type": "string", "description": .string("\(enumeration.comment)\n\n\(lines.joined(separator: "\n"))"),
      "enum": .strings(values.map(\.jsonName)),
    ]
    let component =
      (enumeration.nesting + [enumeration.name]).joined(separator: ".") + (mustBeChosen ? "Chosen" : "")
    made[component] = schema
    return ["$ref": .string("#/components/schemas/\(component)")]
  }

  /// Names the platform takes from elsewhere, of which there are hundreds.
  mutating func names(_ component: String, _ comment: String, _ names: some Sequence<String>) -> JSONObject {
    if made[component] == nil {
      made[component] = [
        "type": "string", "description": .string(comment), "enum": .strings(names.sorted()),
      ]
    }
    return ["$ref": .string("#/components/schemas/\(component)")]
  }
}
