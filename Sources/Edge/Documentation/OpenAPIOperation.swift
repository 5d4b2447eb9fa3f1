import Schema

/// One binding of an rpc, as an OpenAPI operation.
struct OpenAPIOperation {
  let method: MethodDescriptor
  let route: HTTPRoute
  /// Place among the rpc's routes; the first is the primary one.
  let ordinal: Int
  let tag: String

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
    let name = method.name.prefix(1).lowercased() + method.name.dropFirst()
    return ordinal == 0 ? name : "\(name)\(ordinal + 1)"
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
    let headers: JSONValue = ["X-Request-Id": ["$ref": "#/components/headers/RequestId"]]
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
    return [
      "description": .string(description), "headers": headers,
      "content": ["application/json": ["schema": .object(schema), "example": example]],
    ]
  }

  /// Only what this operation can answer.
  private var problems: [(status: String, name: String)] {
    var problems = [("400", "BadRequest")]
    if !isPublic { problems += [("401", "Unauthenticated"), ("403", "Forbidden")] }
    if !route.template.variables.isEmpty { problems.append(("404", "NotFound")) }
    if route.method != "GET" { problems.append(("409", "Conflict")) }
    if route.body != .none { problems += [("413", "TooLarge"), ("415", "UnsupportedMediaType")] }
    if method.access?.rateClass != nil { problems.append(("429", "TooManyRequests")) }
    problems.append(("5XX", "ServerError"))
    return problems
  }
}
