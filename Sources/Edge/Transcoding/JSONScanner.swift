/// Reads JSON text token by token, as strictly as RFC 8259 has it: no comments, no trailing commas,
/// no leading zeros, no lone surrogates, and UTF-8 checked on the way.
///
/// A cursor, not a parser: the caller knows from its tables what it expects next, so nothing is built
/// in between. NUL is the answer past the end, which no JSON token begins with; that keeps every
/// look-ahead inside the buffer without a check at each call.
struct JSONScanner {
  /// How deep objects and arrays may nest (CONTRACT.md, "JSON").
  static let depthLimit = 64

  private let bytes: UnsafeRawBufferPointer
  private(set) var position = 0

  init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
  }

  /// A string as it stands in the text, checked but not yet unescaped.
  struct StringToken {
    /// Between the quotes.
    var range: Range<Int>
    /// Length in UTF-8 once unescaped; differs from the range's exactly when there are escapes.
    var length: Int
    var containsNUL: Bool
    var hasEscapes: Bool { length != range.count }
  }

  struct NumberToken {
    var range: Range<Int>
    /// Digits and sign only: no fraction, no exponent.
    var isInteger: Bool
  }

  // MARK: Structure

  /// The first byte of the next token, not consumed; 0 at the end.
  @inline(__always)
  mutating func peek() -> UInt8 {
    while true {
      let byte = at(position)
      guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
      position += 1
    }
  }

  var isAtEnd: Bool { position >= bytes.count }

  /// Whether the text is one JSON object.
  static func isObject(_ text: UnsafeRawBufferPointer) -> Bool {
    var scanner = JSONScanner(text)
    guard scanner.peek() == .openBrace else { return false }
    do throws(JSONSyntaxError) {
      try scanner.skipValue(depth: 0)
      try scanner.end()
      return true
    } catch {
      return false
    }
  }

  @inline(__always)
  mutating func expect(_ byte: UInt8) throws(JSONSyntaxError) {
    guard peek() == byte else { throw unexpected() }
    position += 1
  }

  /// Steps to the next member or element of the object or array just opened; false when it is closed.
  /// `first` starts as true.
  @inline(__always)
  mutating func next(until close: UInt8, first: inout Bool) throws(JSONSyntaxError) -> Bool {
    let byte = peek()
    if byte == close {
      position += 1
      return false
    }
    if first {
      first = false
      return true
    }
    guard byte == .comma else { throw unexpected() }
    position += 1
    // `[1,]`: after a comma something must follow.
    guard peek() != close else { throw unexpected() }
    return true
  }

  /// Nothing but white space may follow the value.
  mutating func end() throws(JSONSyntaxError) {
    guard peek() == 0, isAtEnd else { throw unexpected() }
  }

  mutating func literal(_ text: StaticString) throws(JSONSyntaxError) {
    for offset in 0..<text.utf8CodeUnitCount {
      guard at(position) == text.utf8Start[offset] else { throw unexpected() }
      position += 1
    }
  }

  /// Passes over one value of any kind, checking it all the same.
  mutating func skipValue(depth: Int) throws(JSONSyntaxError) {
    switch peek() {
    case .quote: _ = try string()
    case .openBrace:
      try open(depth: depth)
      var first = true
      while try next(until: .closeBrace, first: &first) {
        _ = try key()
        try skipValue(depth: depth + 1)
      }
    case .openBracket:
      try open(depth: depth)
      var first = true
      while try next(until: .closeBracket, first: &first) { try skipValue(depth: depth + 1) }
    case UInt8(ascii: "t"): try literal("true")
    case UInt8(ascii: "f"): try literal("false")
    case UInt8(ascii: "n"): try literal("null")
    default: _ = try number()
    }
  }

  /// Enters the object or array at the cursor, the `depth`-th inside others.
  mutating func open(depth: Int) throws(JSONSyntaxError) {
    guard depth < Self.depthLimit else { throw JSONSyntaxError(.tooDeep, at: position) }
    position += 1
  }

  /// A member's name and the colon behind it.
  @inline(__always)
  mutating func key() throws(JSONSyntaxError) -> StringToken {
    guard peek() == .quote else { throw unexpected() }
    let token = try string()
    try expect(.colon)
    return token
  }

  // MARK: Scalars

  mutating func string() throws(JSONSyntaxError) -> StringToken {
    position += 1
    let start = position
    var length = 0
    var containsNUL = false
    var runStart = start
    while true {
      let byte = at(position)
      if byte >= 0x20 && byte < 0x80 && byte != .quote && byte != .backslash {
        position += 1
      } else if byte == .quote {
        length += position - runStart
        position += 1
        return StringToken(range: start..<position - 1, length: length, containsNUL: containsNUL)
      } else if byte == .backslash {
        length += position - runStart
        let scalar = try escape()
        containsNUL = containsNUL || scalar == 0
        length += scalar.utf8Length
        runStart = position
      } else if byte >= 0x80 {
        let width = UTF8Check.sequenceLength(in: bytes, at: position)
        guard width > 0 else { throw JSONSyntaxError(.invalidUTF8, at: position) }
        position += width
      } else {
        throw position >= bytes.count
          ? JSONSyntaxError(.unexpectedEnd, at: position) : JSONSyntaxError(.controlCharacter, at: position)
      }
    }
  }

  mutating func number() throws(JSONSyntaxError) -> NumberToken {
    let start = position
    if at(position) == .minus { position += 1 }
    if at(position) == UInt8(ascii: "0") {
      position += 1
      if at(position).isDigit { throw JSONSyntaxError(.invalidNumber, at: start) }
    } else {
      guard at(position).isDigit else { throw unexpected() }
      skipDigits()
    }
    var isInteger = true
    if at(position) == UInt8(ascii: ".") {
      isInteger = false
      position += 1
      guard at(position).isDigit else { throw JSONSyntaxError(.invalidNumber, at: start) }
      skipDigits()
    }
    if at(position) | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      position += 1
      if at(position) == .plus || at(position) == .minus { position += 1 }
      guard at(position).isDigit else { throw JSONSyntaxError(.invalidNumber, at: start) }
      skipDigits()
    }
    return NumberToken(range: start..<position, isInteger: isInteger)
  }

  // MARK: Text of tokens

  func text(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[range])
  }

  /// The token's bytes with escapes resolved.
  func unescaped(_ token: StringToken) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(token.length)
    var cursor = self
    cursor.position = token.range.lowerBound
    while cursor.position < token.range.upperBound {
      let byte = cursor.at(cursor.position)
      if byte == .backslash, let scalar = try? cursor.escape() {
        scalar.appendUTF8(to: &result)
      } else {
        result.append(byte)
        cursor.position += 1
      }
    }
    return result
  }

  func string(_ token: StringToken) -> String {
    token.hasEscapes
      ? String(decoding: unescaped(token), as: UTF8.self)
      : String(decoding: text(token.range), as: UTF8.self)
  }

  /// What stands at the cursor is not what the grammar allows there.
  func unexpected() -> JSONSyntaxError {
    JSONSyntaxError(isAtEnd ? .unexpectedEnd : .unexpectedCharacter(at(position)), at: position)
  }

  // MARK: Steps

  @inline(__always)
  private func at(_ index: Int) -> UInt8 {
    index < bytes.count ? bytes[index] : 0
  }

  private mutating func skipDigits() {
    while at(position).isDigit { position += 1 }
  }

  /// The escape at the cursor; a pair of surrogates is one scalar.
  private mutating func escape() throws(JSONSyntaxError) -> UInt32 {
    let start = position
    position += 2
    switch at(start + 1) {
    case .quote: return UInt32(UInt8.quote)
    case .backslash: return UInt32(UInt8.backslash)
    case UInt8(ascii: "/"): return UInt32(UInt8(ascii: "/"))
    case UInt8(ascii: "b"): return 0x08
    case UInt8(ascii: "f"): return 0x0C
    case UInt8(ascii: "n"): return 0x0A
    case UInt8(ascii: "r"): return 0x0D
    case UInt8(ascii: "t"): return 0x09
    case UInt8(ascii: "u"):
      let first = try hexQuad(escapeStart: start)
      guard first & 0xF800 == 0xD800 else { return first }
      guard first < 0xDC00, at(position) == .backslash, at(position + 1) == UInt8(ascii: "u") else {
        throw JSONSyntaxError(.loneSurrogate, at: start)
      }
      position += 2
      let second = try hexQuad(escapeStart: start)
      guard second & 0xFC00 == 0xDC00 else { throw JSONSyntaxError(.loneSurrogate, at: start) }
      return 0x10000 + (first & 0x3FF) << 10 + (second & 0x3FF)
    default:
      throw JSONSyntaxError(start + 1 >= bytes.count ? .unexpectedEnd : .invalidEscape, at: start)
    }
  }

  private mutating func hexQuad(escapeStart: Int) throws(JSONSyntaxError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = at(position).hexValue else {
        throw JSONSyntaxError(isAtEnd ? .unexpectedEnd : .invalidEscape, at: escapeStart)
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}

/// Text that is not JSON: what is wrong, and at which byte.
struct JSONSyntaxError: Error, Equatable {
  enum Cause: Equatable {
    case unexpectedEnd, unexpectedCharacter(UInt8), controlCharacter, invalidUTF8, invalidEscape
    case loneSurrogate, invalidNumber, tooDeep
  }

  var cause: Cause
  var offset: Int

  init(_ cause: Cause, at offset: Int) {
    self.cause = cause
    self.offset = offset
  }

  /// A sentence for people, with line and column counted from 1, in bytes.
  func message(in text: some Collection<UInt8>) -> String {
    let before = text.prefix(offset)
    let line = before.count { $0 == 0x0A } + 1
    let column = before.reversed().prefix { $0 != 0x0A }.count + 1
    return "\(cause.sentence) at line \(line), column \(column)"
  }

  /// Stable, for the problem's `code`.
  var code: String {
    switch cause {
    case .invalidUTF8: "INVALID_UTF8"
    case .tooDeep: "TOO_DEEP"
    default: "INVALID_JSON"
    }
  }
}

extension JSONSyntaxError.Cause {
  fileprivate var sentence: String {
    switch self {
    case .unexpectedEnd: "the text ends too early"
    case .unexpectedCharacter(let byte) where byte > 0x20 && byte < 0x7F:
      "unexpected '\(Unicode.Scalar(byte))'"
    case .unexpectedCharacter(let byte): "unexpected byte \(byte)"
    case .controlCharacter: "a control character must be escaped"
    case .invalidUTF8: "bytes that are not UTF-8"
    case .invalidEscape: "an escape that JSON does not know"
    case .loneSurrogate: "half of a surrogate pair"
    case .invalidNumber: "a number that is not written as JSON has it"
    case .tooDeep: "more than \(JSONScanner.depthLimit) levels"
    }
  }
}
