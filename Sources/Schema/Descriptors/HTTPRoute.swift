/// One binding of the option `google.api.http`.
public struct HTTPRoute: Hashable, Sendable {
  public enum Body: Hashable, Sendable {
    /// No body; what the path does not hold comes from the query.
    case none
    /// `*`: the body is the message, without the fields in the path.
    case whole
    /// The body is the value of this field; the others come from path and query.
    case field(String)
  }

  /// e.g. `GET`
  public let method: String
  public let template: PathTemplate
  public let body: Body
  /// The response field (proto name) the answer consists of; nil for the whole message.
  public let responseBody: String?

  static let optionNumber = 72_295_728

  /// A `google.api.HttpRule` and its additional bindings, which may not nest.
  static func routes(reading reader: WireReader, isAdditional: Bool = false) throws(SchemaError)
    -> [HTTPRoute]
  {
    var method = ""
    var path = ""
    var body = ""
    var responseBody = ""
    var additional: [HTTPRoute] = []
    var scan = reader
    while let field = try scan.next() {
      switch field.number {
      case 2...6:
        method = ["GET", "PUT", "POST", "DELETE", "PATCH"][field.number - 2]
        path = try field.string()
      case 7: body = try field.string()
      case 11:
        guard !isAdditional else { throw SchemaError("additional_bindings may not nest") }
        additional += try routes(reading: field.message(), isAdditional: true)
      case 12: responseBody = try field.string()
      default: break
      }
    }
    guard !method.isEmpty else { throw SchemaError("google.api.http names no method and path") }
    let route = HTTPRoute(
      method: method, template: try PathTemplate(path),
      body: body.isEmpty ? .none : body == "*" ? .whole : .field(body),
      responseBody: responseBody.isEmpty ? nil : responseBody)
    return [route] + additional
  }
}

/// The path of a route: literals and variables, each one segment: `/stores/{store_id}/hours`.
public struct PathTemplate: Hashable, Sendable {
  public enum Segment: Hashable, Sendable {
    case literal(String)
    /// With the path of the request field it fills, e.g. `["store_id"]`.
    case variable([String])
  }

  public let segments: [Segment]
  /// As written.
  public let source: String

  /// - Parameter source: `{name}` and `{name=*}` are variables; wildcards over several segments,
  ///   segments partly variable and custom verbs are refused.
  public init(_ source: String) throws(SchemaError) {
    guard source.first == "/", source.count > 1 else {
      throw SchemaError("path '\(source)' must begin with / and have a segment")
    }
    var segments: [Segment] = []
    for part in source.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      segments.append(try Self.segment(part, of: source))
    }
    self.segments = segments
    self.source = source
    let names = variables
    guard Set(names).count == names.count else {
      throw SchemaError("path '\(source)' uses a variable twice")
    }
  }

  /// The request fields the path fills, in order.
  public var variables: [[String]] {
    segments.compactMap { if case .variable(let path) = $0 { path } else { nil } }
  }

  private static func segment(_ part: Substring, of source: String) throws(SchemaError) -> Segment {
    guard part.first == "{" else {
      let isPlain = part.unicodeScalars.allSatisfy {
        $0.isASCII && ($0.isWord || "-.~".unicodeScalars.contains($0))
      }
      guard !part.isEmpty, isPlain else {
        throw SchemaError(
          "path '\(source)': segment '\(part)' must be letters, digits and -._~, or one {variable}")
      }
      return .literal(String(part))
    }
    var name = part.dropFirst()
    guard name.popLast() == "}" else {
      throw SchemaError("path '\(source)': '\(part)' does not end with }")
    }
    if name.hasSuffix("=*") { name = name.dropLast(2) }
    let fields = name.split(separator: ".", omittingEmptySubsequences: false)
    guard fields.allSatisfy({ !$0.isEmpty && $0.unicodeScalars.allSatisfy(\.isWord) }) else {
      throw SchemaError("path '\(source)': '\(part)' must be {field} or {field=*}")
    }
    return .variable(fields.map(String.init))
  }
}

extension Unicode.Scalar {
  /// `[A-Za-z0-9_]`
  var isWord: Bool {
    switch self {
    case "a"..."z", "A"..."Z", "0"..."9", "_": true
    default: false
    }
  }
}
