/// Compiles the source of a `Pattern`. Jumps are absolute within the pieces handed around, and moved
/// when a piece is placed behind another.
struct PatternParser {
  /// A pattern longer than this is a mistake, and `{m,n}` multiplies.
  private static let maxInstructions = 2000
  private static let maxRepeats = 1000

  private let source: String
  private var rest: Substring.UnicodeScalarView
  private var depth = 0

  init(_ source: String) {
    self.source = source
    rest = source[...].unicodeScalars
  }

  mutating func parse() throws(SchemaError) -> [PatternInstruction] {
    let program = try alternatives()
    guard rest.isEmpty else { throw failure("unmatched )") }
    return program + [.match]
  }

  private mutating func alternatives() throws(SchemaError) -> [PatternInstruction] {
    var program = try sequence()
    while rest.first == "|" {
      rest.removeFirst()
      let other = try sequence()
      // split → program, jump over other; other
      program =
        [.split(program.count + 2)] + program.moved(by: 1) + [.jump(program.count + 2 + other.count)]
        + other.moved(by: program.count + 2)
    }
    return program
  }

  private mutating func sequence() throws(SchemaError) -> [PatternInstruction] {
    var program: [PatternInstruction] = []
    while let next = rest.first, next != "|", next != ")" {
      let piece = try repeated(try atom())
      program += piece.moved(by: program.count)
      guard program.count <= Self.maxInstructions else { throw failure("too large") }
    }
    return program
  }

  private mutating func atom() throws(SchemaError) -> [PatternInstruction] {
    let scalar = rest.removeFirst()
    switch scalar {
    case "(":
      depth += 1
      guard depth <= 50 else { throw failure("groups nest too deep") }
      if rest.starts(with: "?:".unicodeScalars) { rest.removeFirst(2) }
      let group = try alternatives()
      guard rest.popFirst() == ")" else { throw failure("missing )") }
      depth -= 1
      return group
    case "[": return [.scalar(try bracket())]
    case ".": return [.scalar(.anythingButNewline)]
    case "^": return [.start]
    case "$": return [.end]
    case "\\": return [.scalar(try escape())]
    case "*", "+", "?", "{": throw failure("\(scalar) repeats nothing")
    default: return [.scalar(ScalarSet(ranges: [scalar.value...scalar.value]))]
    }
  }

  private mutating func repeated(_ atom: [PatternInstruction]) throws(SchemaError) -> [PatternInstruction] {
    switch rest.first {
    case "?":
      rest.removeFirst()
      return try repeated(atom, 0, 1)
    case "*":
      rest.removeFirst()
      return try repeated(atom, 0, nil)
    case "+":
      rest.removeFirst()
      return try repeated(atom, 1, nil)
    case "{":
      rest.removeFirst()
      let least = try number()
      var most: Int? = least
      if rest.first == "," {
        rest.removeFirst()
        most = rest.first == "}" ? nil : try number()
      }
      guard rest.popFirst() == "}" else { throw failure("missing }") }
      if let most, most < least { throw failure("{\(least),\(most)} is empty") }
      return try repeated(atom, least, most)
    default:
      return atom
    }
  }

  private func repeated(
    _ atom: [PatternInstruction], _ least: Int, _ most: Int?
  ) throws(SchemaError) -> [PatternInstruction] {
    if let next = rest.first, "?*+{".unicodeScalars.contains(next) {
      throw failure("\(next) after a repetition is not supported")
    }
    var program: [PatternInstruction] = []
    for _ in 0..<least { program += atom.moved(by: program.count) }
    if let most {
      for _ in least..<most {
        let start = program.count
        program += [.split(start + 1 + atom.count)] + atom.moved(by: start + 1)
      }
    } else {
      let start = program.count
      program += [.split(start + atom.count + 2)] + atom.moved(by: start + 1) + [.jump(start)]
    }
    guard program.count <= Self.maxInstructions else { throw failure("too large") }
    return program
  }

  private mutating func bracket() throws(SchemaError) -> ScalarSet {
    var set = ScalarSet()
    if rest.first == "^" {
      rest.removeFirst()
      set.isNegated = true
    }
    var isFirst = true
    while let scalar = rest.popFirst() {
      if scalar == "]" && !isFirst { return set }
      isFirst = false
      if scalar == "\\" {
        let escaped = try escape()
        guard !escaped.isNegated else { throw failure("a negated class within [] is not supported") }
        set.ranges += escaped.ranges
      } else if rest.first == "-", let upper = rest.dropFirst().first, upper != "]" {
        rest.removeFirst(2)
        guard scalar <= upper, upper != "\\" else {
          throw failure("range \(scalar)-\(upper) is not in order")
        }
        set.insert(scalar...upper)
      } else {
        set.insert(scalar...scalar)
      }
    }
    throw failure("missing ]")
  }

  private mutating func escape() throws(SchemaError) -> ScalarSet {
    guard let scalar = rest.popFirst() else { throw failure("ends with \\") }
    switch scalar {
    case "d": return .digit
    case "w": return .word
    case "s": return .space
    case "D": return ScalarSet(ranges: ScalarSet.digit.ranges, isNegated: true)
    case "W": return ScalarSet(ranges: ScalarSet.word.ranges, isNegated: true)
    case "S": return ScalarSet(ranges: ScalarSet.space.ranges, isNegated: true)
    case "n": return ScalarSet(ranges: [0x0A...0x0A])
    case "t": return ScalarSet(ranges: [0x09...0x09])
    default:
      guard !scalar.isWord, scalar.isASCII else { throw failure("\\\(scalar) is not supported") }
      return ScalarSet(ranges: [scalar.value...scalar.value])
    }
  }

  private mutating func number() throws(SchemaError) -> Int {
    var digits = ""
    while let digit = rest.first, ("0"..."9").contains(digit) {
      digits.unicodeScalars.append(digit)
      rest.removeFirst()
    }
    guard let number = Int(digits), number <= Self.maxRepeats else {
      throw failure("a repetition must be a number up to \(Self.maxRepeats)")
    }
    return number
  }

  private func failure(_ reason: String) -> SchemaError {
    SchemaError("pattern '\(source)': \(reason)")
  }
}

extension [PatternInstruction] {
  fileprivate func moved(by offset: Int) -> [PatternInstruction] {
    map { instruction in
      switch instruction {
      case .split(let target): .split(target + offset)
      case .jump(let target): .jump(target + offset)
      default: instruction
      }
    }
  }
}
