import Schema

/// One binding of an rpc, as an OpenAPI operation.
struct OpenAPIOperation {
  let method: MethodDescriptor
  let route: HTTPRoute
  /// Place among the rpc's routes; the first is the primary one.
  let ordinal: Int
  let tag: String
  /// Operations an answer of this one may lead to.
  let targets: [Target]

  /// `/stores/{store_id}` with its variables named as in JSON: `/stores/{storeId}`.
  func path(_ schemas: OpenAPISchemas) -> String {
    let input = schemas.message(method.inputType)
    return route.template.segments.map { segment in
      switch segment {
      case .literal(let text): "/\(text)"
      case .variable(let path):
        "/{\(path.first.flatMap { input?.field(named: $0)?.jsonName } ?? path.joined(separator: "."))}"
      }
    }.joined()
  }

  func operation(_ schemas: inout OpenAPISchemas) throws(SchemaError) -> JSONObject {
    var operation: JSONObject = [
      "operationId": .string(operationID), "tags": [.string(tag)], "summary": .string(summary),
      "description": .string(description),
    ]
    let parameters = try parameters(&schemas)
    if !parameters.isEmpty { operation["parameters"] = .array(parameters) }
    operation["requestBody"] = try requestBody(&schemas).map { .object($0) }
    operation["responses"] = .object(try responses(&schemas))
    operation["security"] = security
    addAccess(to: &operation)
    return operation
  }

  // MARK: Words

  private var operationID: String {
    let name = Self.operationID(of: method)
    return ordinal == 0 ? name : "\(name)\(ordinal + 1)"
  }

  private static func operationID(of method: MethodDescriptor) -> String {
    method.name.prefix(1).lowercased() + method.name.dropFirst()
  }

  /// The first sentence of the comment.
  private var summary: String {
    let text = method.comment.split(separator: "\n").joined(separator: " ")
    guard let end = text.firstRange(of: ". ") else {
      return text.hasSuffix(".") ? String(text.dropLast()) : text
    }
    return String(text[..<end.lowerBound])
  }

  private var description: String {
    switch method.access?.audience {
    case .roles(let roles, let scopes):
      let people = roles.map { "`\($0)`" }.joined(separator: ", ")
      let keys = scopes.map { "`\($0)`" }.joined(separator: ", ")
      var who: [String] = []
      if !roles.isEmpty { who.append("roles \(people)") }
      if !scopes.isEmpty { who.append("API keys with scope \(keys)") }
      return "\(method.comment)\n\nFor \(who.joined(separator: ", and for "))."
    case .public, nil: return "\(method.comment)\n\nFor everyone: no credential is needed."
    }
  }

  // MARK: Access

  private var security: JSONValue {
    guard case .roles(let roles, let scopes) = method.access?.audience else { return [] }
    var ways: [JSONValue] = []
    if !scopes.isEmpty { ways.append(["apiKey": []]) }
    if !roles.isEmpty { ways.append(["bearer": []]) }
    return .array(ways)
  }

  private func addAccess(to operation: inout JSONObject) {
    guard let access = method.access else { return }
    if case .roles(let roles, let scopes) = access.audience {
      operation["x-roles"] = .strings(roles)
      operation["x-scopes"] = .strings(scopes)
    }
    if let rateClass = access.rateClass { operation["x-rate-class"] = .string("\(rateClass)") }
  }

  private var takesKey: Bool { method.access.map { $0.idempotencyKey != .passedOver } ?? false }

  private var isPublic: Bool { method.access?.audience == .public }

  // MARK: Request

  private var pathFields: Set<String> { Set(route.template.variables.compactMap(\.first)) }

  private func parameters(_ schemas: inout OpenAPISchemas) throws(SchemaError) -> [JSONValue] {
    var parameters: [JSONValue] = []
    for field in try schemas.fields(of: method.inputType) {
      let isInPath = pathFields.contains(field.name)
      guard isInPath || isInQuery(field) else { continue }
      var parameter: JSONObject = [
        "name": .string(field.jsonName), "in": isInPath ? "path" : "query",
        "description": .string(field.comment), "required": .bool(isInPath || field.isRequired),
      ]
      parameter["schema"] = .object(try schemas.value(of: field, .parameter))
      // The page fills examples in, and of what may be left out nothing is right more often than a guess.
      if isInPath || field.isRequired { parameter["example"] = schemas.example(of: field) }
      parameters.append(.object(parameter))
    }
    if takesKey {
      parameters.append([
        "name": "Idempotency-Key", "in": "header",
        "required": .bool(method.access?.idempotencyKey == .required),
        "description":
          "A name of your choice for this call. Made again with the same within 24 hours, it has no effect again and gets the first answer.",
        // As `IdempotencyKey` takes it bare; in quotes it may begin with one.
        "schema": ["type": "string", "maxLength": 255, "pattern": "^[!#-~]([ -~]*[!-~])?$"],
      ])
    }
    return parameters
  }

  /// What `Call` takes from the query.
  private func isInQuery(_ field: OpenAPISchemas.Field) -> Bool {
    guard !method.isClientStreaming, field.isText else { return false }
    switch route.body {
    case .none: return true
    case .whole: return false
    case .field(let body): return field.name != body
    }
  }

  private func requestBody(_ schemas: inout OpenAPISchemas) throws(SchemaError) -> JSONObject? {
    if method.isClientStreaming {
      var content = JSONObject()
      for type in method.documentation.requestTypes {
        content[type] = ["schema": ["type": "string", "format": "binary"]]
      }
      return ["required": true, "content": .object(content)]
    }
    switch route.body {
    case .none: return nil
    case .field(let name):
      guard let field = try schemas.fields(of: method.inputType).first(where: { $0.name == name }) else {
        return nil
      }
      let content: JSONObject = [
        "schema": .object(try schemas.value(of: field, .request, isNullable: false)),
        "example": schemas.example(of: field),
      ]
      return [
        "required": true, "description": .string(field.comment),
        "content": ["application/json": .object(content)],
      ]
    case .whole:
      let fields = try schemas.fields(of: method.inputType).filter { !pathFields.contains($0.name) }
      let content: JSONObject = [
        "schema": .object(try schemas.reference(to: method.inputType, .request, without: pathFields)),
        "example": schemas.example(of: fields),
      ]
      return [
        "required": .bool(fields.contains(where: \.isRequired)),
        "description": .string(schemas.message(method.inputType)?.comment ?? ""),
        "content": ["application/json": .object(content)],
      ]
    }
  }

  // MARK: Responses

  private func responses(_ schemas: inout OpenAPISchemas) throws(SchemaError) -> JSONObject {
    var responses = JSONObject()
    let success = try success(&schemas)
    var statuses = [method.access?.successStatus ?? 200]
    if method.outputType == OpenAPISchemas.empty { statuses = [204] }
    for status in (statuses + method.documentation.otherSuccessStatuses).sorted() {
      responses["\(status)"] = .object(success)
    }
    for (status, name) in problems {
      responses[status] = ["$ref": .string("#/components/responses/\(name)")]
    }
    return responses
  }

  private func success(_ schemas: inout OpenAPISchemas) throws(SchemaError) -> JSONObject {
    var known: JSONObject = ["X-Request-Id": ["$ref": "#/components/headers/RequestId"]]
    if takesKey { known["Idempotency-Replayed"] = ["$ref": "#/components/headers/IdempotencyReplayed"] }
    let headers = JSONValue.object(known)
    if method.outputType == OpenAPISchemas.empty {
      return ["description": "Done; there is nothing to say.", "headers": headers]
    }
    if method.isServerStreaming {
      var content = JSONObject()
      for type in method.documentation.responseTypes {
        content[type] = ["schema": type == "application/json" ? [:] : ["type": "string", "format": "binary"]]
      }
      return ["description": "The file.", "headers": headers, "content": .object(content)]
    }
    let fields = try schemas.fields(of: method.outputType)
    let schema: JSONObject
    let example: JSONValue
    var description = schemas.message(method.outputType)?.comment ?? ""
    if let name = route.responseBody, let field = fields.first(where: { $0.name == name }) {
      schema = try schemas.value(of: field, .response)
      example = schemas.example(of: field)
      description = field.comment
    } else {
      schema = try schemas.reference(to: method.outputType, .response)
      example = schemas.example(of: fields)
    }
    var success: JSONObject = [
      "description": .string(description), "headers": headers,
      "content": ["application/json": ["schema": .object(schema), "example": example]],
    ]
    if route.responseBody == nil { success["links"] = links(from: fields) }
    return success
  }

  /// A way to read, or do something with, what this operation made: an operation whose path needs no more than one member
  /// of the answer.
  struct Target {
    let operationID: String
    let field: String

    /// Nil when the path needs nothing, or more.
    init?(_ method: MethodDescriptor) {
      guard let route = method.routes.first, let field = route.template.variables.first?.first,
        route.template.variables.count == 1
      else { return nil }
      operationID = OpenAPIOperation.operationID(of: method)
      self.field = field
    }
  }

  private func links(from fields: [OpenAPISchemas.Field]) -> JSONValue? {
    guard method.access?.successStatus == 201 else { return nil }
    var links = JSONObject()
    for target in targets where target.operationID != Self.operationID(of: method) {
      guard let field = fields.first(where: { $0.name == target.field && $0.kind == .string }) else {
        continue
      }
      links[target.operationID] = [
        "operationId": .string(target.operationID),
        "parameters": .object([field.jsonName: .string("$response.body#/\(field.jsonName)")]),
      ]
    }
    return links.isEmpty ? nil : .object(links)
  }

  /// Only what this operation can answer.
  private var problems: [(status: String, name: String)] {
    var problems = [("400", "BadRequest")]
    if !isPublic { problems += [("401", "Unauthenticated"), ("403", "Forbidden")] }
    if !route.template.variables.isEmpty { problems.append(("404", "NotFound")) }
    if route.method != "GET" { problems.append(("409", "Conflict")) }
    if route.body != .none { problems += [("413", "TooLarge"), ("415", "UnsupportedMediaType")] }
    if takesKey { problems.append(("422", "KeyReused")) }
    if method.access?.rateClass != nil { problems.append(("429", "TooManyRequests")) }
    problems.append(("5XX", "ServerError"))
    return problems
  }
}
