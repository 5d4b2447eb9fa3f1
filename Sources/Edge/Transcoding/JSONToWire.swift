import NIOCore
import Schema

/// Turns the JSON of a request into the bytes of its protobuf message in one pass.
///
/// A syntax error ends the pass by throwing. Everything else that is wrong (an unknown member, a value of the
/// wrong type, a broken rule) is noted with its pointer and the pass goes on, so that the caller hears of all
/// of it at once; what was written meanwhile is then thrown away.
struct JSONToWire {
  /// More than these are not reported: nobody reads them, and a hostile body could have a million.
  static let violationLimit = 100

  var out: ByteBuffer
  var violations: [InputViolation] = []
  var scanner = JSONScanner(UnsafeRawBufferPointer(start: nil, count: 0))
  var path = JSONPath()

  init(into out: ByteBuffer) {
    self.out = out
  }

  // MARK: Documents

  /// A document that is the message itself.
  mutating func message(
    _ text: UnsafeRawBufferPointer, as table: MessageTable, bound: inout BoundFields
  ) throws(JSONSyntaxError) {
    scanner = JSONScanner(text)
    if scanner.peek() == .openBrace {
      try members(of: table, seen: &bound, depth: 0)
    } else {
      try mistyped("an object", depth: 0)
    }
    try scanner.end()
  }

  /// A document that is the value of one field. Its pointers begin at the value. Null is none: as a member it means that
  /// nothing is given, but somebody who sends a document gives something, and an empty list would delete what is there.
  mutating func value(
    _ text: UnsafeRawBufferPointer, of index: Int, in table: MessageTable, bound: inout BoundFields
  ) throws(JSONSyntaxError) {
    scanner = JSONScanner(text)
    if try fieldValue(table.fields[index], depth: 0) {
      _ = bound.seen.insert(index)
    } else {
      note("WRONG_TYPE", "must not be null")
    }
    try scanner.end()
  }

  /// A path variable or query parameter.
  mutating func text(_ text: UnsafeRawBufferPointer, of field: FieldTable) {
    path.push(.field(field))
    defer { path.pop() }
    if case .bool = field.kind {
      guard text.elementsEqual("true".utf8) || text.elementsEqual("false".utf8) else {
        return note("WRONG_TYPE", "must be true or false")
      }
      writeTag(field)
      out.writeVarint(text.count == 4 ? 1 : 0)
    } else {
      writeText(text, of: field, tagged: true)
    }
  }

  mutating func text(_ text: String, of field: FieldTable) {
    var text = text
    text.withUTF8 { self.text(UnsafeRawBufferPointer($0), of: field) }
  }

  /// A list whose items came one by one, as repeated parameters do.
  mutating func endList(of field: FieldTable, count: Int) {
    guard field.shape == .repeated else { return }
    path.push(.field(field))
    check(itemCount: count, field)
    path.pop()
  }

  /// Notes the fields of the request message that had to be set and were not.
  mutating func finish(_ table: MessageTable, seen: FieldSet) {
    let missing = table.required.subtracting(seen)
    guard !missing.isEmpty else { return }
    for (index, field) in table.fields.enumerated() where missing.contains(index) {
      path.push(.field(field))
      note(.required)
      path.pop()
    }
  }

  mutating func note(_ violation: InputViolation) {
    guard violations.count < Self.violationLimit else { return }
    violations.append(violation)
  }

  // MARK: Objects

  /// Fields of the request message already given in path and query, with the bytes they were written as.
  struct BoundFields {
    var seen = FieldSet()
    /// Where in the output the value stands, by field index. Few, hence a list.
    var path: [(index: Int, range: Range<Int>)] = []
  }

  private mutating func members(
    of table: MessageTable, seen bound: inout BoundFields, depth: Int
  ) throws(JSONSyntaxError) {
    try scanner.open(depth: depth)
    var seen = FieldSet()
    var oneofs = FieldSet()
    var unknown: Set<String> = []
    var first = true
    while try scanner.next(until: .closeBrace, first: &first) {
      let key = try scanner.key()
      guard let index = lookUp(key, in: table) else {
        try unknownMember(key, unknown: &unknown, depth: depth)
        continue
      }
      let field = table.fields[index]
      path.push(.field(field))
      defer { path.pop() }
      guard seen.insert(index) else {
        note("DUPLICATE_KEY", "is given twice")
        try scanner.skipValue(depth: depth + 1)
        continue
      }
      let start = out.writerIndex
      guard try fieldValue(field, depth: depth + 1) else { continue }
      if !bound.seen.insert(index) { dropRepetition(of: index, from: start, bound: bound) }
      if let oneof = field.oneof, !oneofs.insert(oneof) {
        note("ONEOF_CONFLICT", "excludes another member that is given too")
      }
    }
  }

  private func lookUp(_ key: JSONScanner.StringToken, in table: MessageTable) -> Int? {
    guard key.hasEscapes else { return table.field(named: scanner.text(key.range)) }
    return scanner.unescaped(key).withUnsafeBytes { table.field(named: $0) }
  }

  private mutating func unknownMember(
    _ key: JSONScanner.StringToken, unknown: inout Set<String>, depth: Int
  ) throws(JSONSyntaxError) {
    let name = scanner.string(key)
    path.push(.name(name))
    if violations.count < Self.violationLimit, !unknown.insert(name).inserted {
      note("DUPLICATE_KEY", "is given twice")
    } else {
      note("UNKNOWN_FIELD", "is not a field that is known here")
    }
    path.pop()
    try scanner.skipValue(depth: depth + 1)
  }

  /// A client may repeat in the body what the path says, but not say something else.
  private mutating func dropRepetition(of index: Int, from start: Int, bound: BoundFields) {
    guard let given = bound.path.first(where: { $0.index == index }) else { return }
    let range = start..<out.writerIndex
    if out.viewBytes(at: given.range.lowerBound, length: given.range.count)
      != out.viewBytes(at: range.lowerBound, length: range.count)
    {
      note("CONFLICT", "differs from the path")
    }
    out.moveWriterIndex(to: start)
  }

  // MARK: Values

  /// The value of a field, all of it if it is a list. False when it was null, which means not set.
  private mutating func fieldValue(_ field: FieldTable, depth: Int) throws(JSONSyntaxError) -> Bool {
    let byte = scanner.peek()
    if byte == UInt8(ascii: "n") {
      try scanner.literal("null")
      return false
    }
    switch field.shape {
    case .implicit, .optional:
      try element(field, tagged: true, depth: depth)
    case .repeated:
      guard byte == .openBracket else {
        try mistyped("an array", depth: depth)
        return true
      }
      try list(field, depth: depth)
    case .map:
      guard byte == .openBrace, case .message(let entry) = field.kind else {
        try mistyped("an object", depth: depth)
        return true
      }
      try map(field, entry: entry, depth: depth)
    }
    return true
  }

  private mutating func list(_ field: FieldTable, depth: Int) throws(JSONSyntaxError) {
    try scanner.open(depth: depth)
    let isPacked = field.wireType != .length
    let start = out.writerIndex
    var mark = 0
    var count = 0
    var first = true
    if isPacked {
      out.writeTag(field.number, .length)
      mark = out.openLength()
    }
    while try scanner.next(until: .closeBracket, first: &first) {
      path.push(.index(count))
      _ = scanner.peek()
      try element(field, tagged: !isPacked, depth: depth + 1)
      path.pop()
      count += 1
    }
    if isPacked, count > 0 {
      out.closeLength(mark)
    } else if isPacked {
      out.moveWriterIndex(to: start)
    }
    check(itemCount: count, field)
  }

  private mutating func map(
    _ field: FieldTable, entry: MessageTable, depth: Int
  ) throws(JSONSyntaxError) {
    try scanner.open(depth: depth)
    // By their bytes: Swift takes strings for equal that only look the same.
    var seen: Set<[UInt8]> = []
    var first = true
    while try scanner.next(until: .closeBrace, first: &first) {
      let token = try scanner.key()
      let key = scanner.string(token)
      path.push(.name(key))
      defer { path.pop() }
      if !seen.insert(Array(key.utf8)).inserted { note("DUPLICATE_KEY", "is given twice") }
      if token.containsNUL { note("NUL_CHARACTER", "must not contain NUL") }
      out.writeTag(field.number, .length)
      let mark = out.openLength()
      text(key, of: entry.fields[0])
      _ = scanner.peek()
      try element(entry.fields[1], tagged: true, depth: depth + 1)
      out.closeLength(mark)
    }
    check(itemCount: seen.count, field)
  }

  /// One value at the cursor: the field's own, or an element of it. Packed elements go without a tag.
  private mutating func element(_ field: FieldTable, tagged: Bool, depth: Int) throws(JSONSyntaxError) {
    switch field.kind {
    case .message(let table):
      guard scanner.peek() == .openBrace else { return try mistyped("an object", depth: depth) }
      out.writeTag(field.number, .length)
      let mark = out.openLength()
      var bound = BoundFields()
      try members(of: table, seen: &bound, depth: depth)
      out.closeLength(mark)
      finish(table, seen: bound.seen)
    case .jsonObject:
      try jsonObject(field, depth: depth)
    case .bool:
      try bool(field, tagged: tagged, depth: depth)
    case .string:
      guard scanner.peek() == .quote else { return try mistyped("a string", depth: depth) }
      let token = try scanner.string()
      if token.containsNUL { return note("NUL_CHARACTER", "must not contain NUL") }
      if token.hasEscapes {
        scanner.unescaped(token).withUnsafeBytes { writeString($0, of: field) }
      } else {
        writeString(scanner.text(token.range), of: field)
      }
    case .bytes, .timestamp, .duration:
      guard scanner.peek() == .quote else { return try mistyped("a string", depth: depth) }
      try stringToken(of: field, tagged: tagged)
    case .enumeration, .integer, .float, .double:
      let byte = scanner.peek()
      if byte == .quote {
        try stringToken(of: field, tagged: tagged)
      } else if byte == .minus || byte.isDigit {
        let token = try scanner.number()
        writeNumber(scanner.text(token.range), of: field, tagged: tagged)
      } else {
        try mistyped(field.expectation, depth: depth)
      }
    }
  }

  private mutating func bool(_ field: FieldTable, tagged: Bool, depth: Int) throws(JSONSyntaxError) {
    let byte = scanner.peek()
    guard byte == UInt8(ascii: "t") || byte == UInt8(ascii: "f") else {
      return try mistyped("true or false", depth: depth)
    }
    let isTrue = byte == UInt8(ascii: "t")
    try scanner.literal(isTrue ? "true" : "false")
    if tagged { writeTag(field) }
    out.writeVarint(isTrue ? 1 : 0)
    if !isTrue, field.mustNotBeZero { note(.required) }
  }

  private mutating func stringToken(of field: FieldTable, tagged: Bool) throws(JSONSyntaxError) {
    let token = try scanner.string()
    if token.hasEscapes {
      scanner.unescaped(token).withUnsafeBytes { writeText($0, of: field, tagged: tagged) }
    } else {
      writeText(scanner.text(token.range), of: field, tagged: tagged)
    }
  }

  /// A value of another type than the field's: noted, and passed over. A null in a list comes here too.
  mutating func mistyped(_ expected: String, depth: Int) throws(JSONSyntaxError) {
    note("WRONG_TYPE", "must be \(expected)")
    try scanner.skipValue(depth: depth)
  }
}
