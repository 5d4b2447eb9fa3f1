import Schema

/// The description of every route the Edge serves, in OpenAPI 3.1, made from the contract at start: what is served and
/// what is described cannot differ.
///
/// Source: https://spec.openapis.org/oas/v3.1.1.html
struct OpenAPI {
  private var schemas: OpenAPISchemas
  private var paths = JSONObject()
  private var tags: [JSONValue] = []
  /// What answers of the service now added may lead to.
  private var targets: [OpenAPIOperation.Target] = []

  /// - Parameter services: full names of those the Edge speaks to.
  /// - Throws: for a contract that `RouteTable` refuses as well.
  static func document(
    of schema: DescriptorSet, services: Set<String>
  ) throws(SchemaError) -> JSONObject {
    let served = schema.services.filter { services.contains($0.fullName) }
    var builder = OpenAPI(schemas: OpenAPISchemas(schema, describing: served.flatMap(\.methods)))
    for service in served {
      builder.targets = service.methods.compactMap(OpenAPIOperation.Target.init)
      try builder.add(service)
    }
    return builder.document
  }

  private init(schemas: OpenAPISchemas) {
    self.schemas = schemas
  }

  private mutating func add(_ service: ServiceDescriptor) throws(SchemaError) {
    let tag = service.name.hasSuffix("Service") ? String(service.name.dropLast(7)) : service.name
    var hasRoutes = false
    for method in service.methods {
      for (index, route) in method.routes.enumerated() {
        hasRoutes = true
        let builder = OpenAPIOperation(
          method: method, route: route, ordinal: index, tag: tag, targets: targets)
        let path = builder.path(schemas)
        var item: JSONObject = [:]
        if case .object(let known)? = paths[path] { item = known }
        item[route.method.lowercased()] = .object(try builder.operation(&schemas))
        paths[path] = .object(item)
      }
    }
    if hasRoutes { tags.append(["name": .string(tag), "description": .string(service.comment)]) }
  }

  private var document: JSONObject {
    var components: JSONObject = ["schemas": .object(schemas.components)]
    components["responses"] = .object(OpenAPIProblems.responses)
    components["headers"] = .object(OpenAPIProblems.headers)
    components["securitySchemes"] = [
      "apiKey": [
        "type": "apiKey", "in": "header", "name": "X-API-Key",
        "description": "For programs: a key of a tenant, `msk_…`, good for the scopes it was made with.",
      ],
      "bearer": [
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
        "description": "For people: the access token a sign-in gives, good for ten minutes.",
      ],
    ]
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "Mainstreet", "version": .string(Edge.apiVersion), "description": .string(Self.introduction),
      ],
      "servers": [
        ["url": "/", "description": "This server."],
        ["url": "/api/v1", "description": "The same: the prefix may be left out."],
      ],
      "tags": .array(tags), "paths": .object(paths), "components": .object(components),
    ]
  }

  private static let introduction = """
    The operations backend for bricks-and-mortar businesses.

    **Bodies** are JSON (RFC 8259) in UTF-8. Members may be named as here or as in the protobuf contract \
    (`dayOfWeek`, `day_of_week`); members and parameters that are not known, and keys given twice, are refused, as is \
    NUL in a string. 64-bit integers are numbers up to 2^53 and strings beyond, and may be sent as either. Names of \
    enums are taken in any case. Null means not given.

    **Errors** are `application/problem+json` (RFC 9457): decide by `code`, show `detail`, and quote `requestId` when \
    you ask us. `errors` tells of each member that was wrong, by its JSON Pointer. A path that is not here answers 404 \
    with code `ROUTE_NOT_FOUND`; a method that is not, 405 with `Allow`.

    **Lists** come in pages: pass `nextCursor` of one as `cursor` to get the next.
    """
}
