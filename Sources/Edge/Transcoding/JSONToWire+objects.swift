// Free-form JSON objects: their members are the caller's own affair, so they are checked and kept as the text they
// came as, spaces and order of members included.
extension JSONToWire {
  mutating func jsonObject(_ field: FieldTable, depth: Int) throws(JSONSyntaxError) {
    guard scanner.peek() == .openBrace else { return try mistyped("an object", depth: depth) }
    let start = scanner.position
    try freeObject(depth: depth)
    writeString(scanner.text(start..<scanner.position), of: field)
  }

  /// What the grammar lets through and no store of JSON keeps apart is refused: a key given twice, and NUL.
  private mutating func freeObject(depth: Int) throws(JSONSyntaxError) {
    try scanner.open(depth: depth)
    var seen: Set<[UInt8]> = []
    var first = true
    while try scanner.next(until: .closeBrace, first: &first) {
      let key = try scanner.key()
      path.push(.name(scanner.string(key)))
      defer { path.pop() }
      let name = scanner.unescaped(key)
      if !seen.insert(name).inserted { note("DUPLICATE_KEY", "is given twice") }
      if key.containsNUL { note("NUL_CHARACTER", "must not contain NUL") }
      try freeValue(depth: depth + 1)
    }
  }

  private mutating func freeArray(depth: Int) throws(JSONSyntaxError) {
    try scanner.open(depth: depth)
    var index = 0
    var first = true
    while try scanner.next(until: .closeBracket, first: &first) {
      path.push(.index(index))
      defer { path.pop() }
      try freeValue(depth: depth + 1)
      index += 1
    }
  }

  private mutating func freeValue(depth: Int) throws(JSONSyntaxError) {
    switch scanner.peek() {
    case .openBrace: try freeObject(depth: depth)
    case .openBracket: try freeArray(depth: depth)
    case .quote:
      if try scanner.string().containsNUL { note("NUL_CHARACTER", "must not contain NUL") }
    default: try scanner.skipValue(depth: depth)
    }
  }
}
