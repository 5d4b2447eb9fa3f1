/// One thing wrong with a request, and where: an entry of a problem's `errors`.
struct InputViolation: Hashable, Sendable {
  /// RFC 6901, within the body; `/name` for a query parameter or a path variable.
  var pointer: String
  /// Stable, SCREAMING_SNAKE.
  var code: String
  /// A sentence for people.
  var message: String
}

/// Where in a document the transcoder is.
struct JSONPath {
  enum Step {
    case field(FieldTable)
    case index(Int)
    case name(String)
  }

  private var steps: [Step] = []

  mutating func push(_ step: Step) { steps.append(step) }
  mutating func pop() { steps.removeLast() }

  /// The path as an RFC 6901 pointer, which an object's member must be escaped for.
  var pointer: String {
    var pointer = ""
    for step in steps {
      pointer += "/"
      switch step {
      case .field(let field): pointer += field.jsonName
      case .index(let index): pointer += String(index)
      case .name(let name): pointer += Self.escaped(name)
      }
    }
    return pointer
  }

  static func escaped(_ name: String) -> String {
    guard name.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else {
      return name
    }
    return name.reduce(into: "") { $0 += $1 == "~" ? "~0" : $1 == "/" ? "~1" : String($1) }
  }
}
