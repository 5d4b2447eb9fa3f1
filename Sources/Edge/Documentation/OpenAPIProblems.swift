/// What goes wrong, described once: the shape of every problem, and a response for each status an operation may name.
enum OpenAPIProblems {
  static let schemas: JSONObject = [
    "Problem": [
      "type": "object",
      "description":
        "What went wrong (RFC 9457). Decide by `code`. Some problems have members of their own besides these.",
      "properties": [
        "type": [
          "type": "string", "format": "uri-reference",
          "description": "`about:blank`, or what the problem is.",
        ],
        "title": ["type": "string", "description": "The status in words."],
        "status": ["type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status."],
        "detail": ["type": "string", "description": "What went wrong this time, for people."],
        "instance": ["type": "string", "description": "The path that was asked for."],
        "code": [
          "type": "string", "pattern": "^[A-Z][A-Z0-9_]*$",
          "description": "What went wrong, for programs. Stable.",
        ],
        "requestId": [
          "type": "string", "description": "What our logs call the request; also in `X-Request-Id`.",
        ],
        "errors": [
          "type": "array",
          "description": "Each member or parameter that was wrong; empty when it was not that.",
          "items": ["$ref": "#/components/schemas/ProblemError"],
        ],
        "statusCode": ["type": "integer", "description": "As `status`, for older clients."],
        "message": ["type": "string", "description": "As `detail`, for older clients."],
        "path": ["type": "string", "description": "As `instance`, for older clients."],
        "method": ["type": "string", "description": "The HTTP method."],
        "timestamp": ["type": "string", "format": "date-time", "description": "When."],
      ],
      "required": [
        "type", "title", "status", "detail", "instance", "code", "requestId", "errors", "statusCode",
        "message", "path",
        "method", "timestamp",
      ],
    ],
    "ProblemError": [
      "type": "object", "description": "One thing wrong with a request.",
      "properties": [
        "field": [
          "type": "string",
          "description":
            "JSON Pointer (RFC 6901) into the body, or `/name` of a parameter; empty for the body itself.",
        ],
        "code": [
          "type": "string", "pattern": "^[A-Z][A-Z0-9_]*$",
          "description": "What is wrong, for programs. Stable.",
        ],
        "message": [
          "type": "string", "description": "What is wrong, for people; goes on from the field's name.",
        ],
      ],
      "required": ["field", "code", "message"],
    ],
  ]

  static let headers: JSONObject = [
    "RequestId": [
      "description": "What our logs call the request: yours, if you sent a sane one.",
      "schema": ["type": "string"],
    ],
    "IdempotencyReplayed": [
      "description": "`true` when this is the answer of an earlier call with the same idempotency key.",
      "schema": ["type": "string", "enum": ["true"]],
    ],
    "RetryAfter": ["description": "Seconds to wait.", "schema": ["type": "integer", "minimum": 0]],
  ]

  static let responses: JSONObject = [
    "BadRequest": response(
      "The request is not JSON, or says what it may not; `errors` tells where.", 400, "VALIDATION_FAILED",
      "/name must not be empty."),
    "Unauthenticated": response(
      "There is no credential, or it is not valid.", 401, "UNAUTHENTICATED", "The API key is not valid."),
    "Forbidden": response(
      "The credential is good, but not for this.", 403, "PERMISSION_DENIED",
      "The role viewer may not call this."),
    "NotFound": response(
      "What the path names is not there, or not yours.", 404, "NOT_FOUND", "There is no such thing."),
    "Conflict": response(
      "What is there already, or is happening, stands in the way.", 409, "CONFLICT",
      "Somebody else was faster."),
    "TooLarge": response(
      "The body is larger than this route takes.", 413, "BODY_TOO_LARGE",
      "The body has more than 1048576 bytes."),
    "UnsupportedMediaType": response(
      "The body is of another type, or compressed.", 415, "UNSUPPORTED_MEDIA_TYPE",
      "This route takes application/json, not text/plain."),
    "KeyReused": response(
      "The idempotency key was used with another request.", 422, "IDEMPOTENCY_KEY_REUSED",
      "This idempotency key came with another request before."),
    "TooManyRequests": response(
      "More requests than the tenant or key may make.", 429, "RATE_LIMITED",
      "The limit is spent; try again later.",
      headers: ["Retry-After": ["$ref": "#/components/headers/RetryAfter"]]),
    "ServerError": response(
      "It is our fault (500), something behind us is down (503) or slow (504).", 503, "UNAVAILABLE",
      "The service behind this route cannot be reached; try again."),
  ]

  private static func response(
    _ description: String, _ status: Int, _ code: String, _ detail: String, headers extra: JSONObject = [:]
  ) -> JSONValue {
    var headers: JSONObject = ["X-Request-Id": ["$ref": "#/components/headers/RequestId"]]
    headers.merge(extra)
    let example: JSONObject = [
      "type": status == 429
        ? "https://iana.org/assignments/http-problem-types#quota-exceeded" : "about:blank",
      "title": .string(HTTPResponseHead.reason(status)), "status": .number(status), "detail": .string(detail),
      "instance": "/stores", "code": .string(code), "requestId": "2h6x0c3v9d1kq-7", "errors": [],
      "statusCode": .number(status), "message": .string(detail), "path": "/stores", "method": "POST",
      "timestamp": "2025-06-14T10:00:00Z",
    ]
    return [
      "description": .string(description), "headers": .object(headers),
      "content": [
        "application/problem+json": [
          "schema": ["$ref": "#/components/schemas/Problem"], "example": .object(example),
        ]
      ],
    ]
  }
}
