/// A regular expression that takes time linear in its input, whoever wrote the input.
///
/// The part of RE2's syntax that rules need: literals, `.`, `[…]`, `\d \w \s`, groups, `|`, `? * +`,
/// `{m,n}`, `^`, `$`. Matches anywhere in the value unless anchored. Simulates all states at once
/// (Thompson, 1968), so nothing backtracks.
public struct Pattern: Hashable, Sendable {
  public let source: String
  let program: [PatternInstruction]

  public init(_ source: String) throws(SchemaError) {
    var parser = PatternParser(source)
    program = try parser.parse()
    self.source = source
  }

  /// For generated code: the generator has parsed the pattern before.
  public init(generated source: StaticString) {
    do {
      try self.init("\(source)")
    } catch {
      preconditionFailure("the generator lets no invalid pattern pass: \(error)")
    }
  }

  public func matches(_ value: String) -> Bool {
    var current = PatternStates(count: program.count)
    var next = PatternStates(count: program.count)
    var isFirst = true
    for scalar in value.unicodeScalars {
      if follow(0, into: &current, atStart: isFirst, atEnd: false) { return true }
      isFirst = false
      next.removeAll()
      for state in current.list {
        guard case .scalar(let set) = program[state], set.contains(scalar) else { continue }
        if follow(state + 1, into: &next, atStart: false, atEnd: false) { return true }
      }
      swap(&current, &next)
    }
    // `$` holds now, so states waiting for it are followed once more.
    var last = PatternStates(count: program.count)
    if follow(0, into: &last, atStart: isFirst, atEnd: true) { return true }
    return current.list.contains { state in
      follow(state, into: &last, atStart: isFirst, atEnd: true)
    }
  }

  /// Adds a state and all it leads to without reading. True when the match is complete.
  private func follow(_ state: Int, into states: inout PatternStates, atStart: Bool, atEnd: Bool) -> Bool {
    guard states.insert(state) else { return false }
    switch program[state] {
    case .match:
      return true
    case .scalar:
      return false
    case .jump(let target):
      return follow(target, into: &states, atStart: atStart, atEnd: atEnd)
    case .split(let other):
      return follow(state + 1, into: &states, atStart: atStart, atEnd: atEnd)
        || follow(other, into: &states, atStart: atStart, atEnd: atEnd)
    case .start:
      return atStart && follow(state + 1, into: &states, atStart: atStart, atEnd: atEnd)
    case .end:
      return atEnd && follow(state + 1, into: &states, atStart: atStart, atEnd: atEnd)
    }
  }
}

/// A set of states that keeps its order and clears in the time of its size.
private struct PatternStates {
  private(set) var list: [Int] = []
  private var isIn: [Bool]

  init(count: Int) { isIn = Array(repeating: false, count: count) }

  mutating func insert(_ state: Int) -> Bool {
    guard !isIn[state] else { return false }
    isIn[state] = true
    list.append(state)
    return true
  }

  mutating func removeAll() {
    for state in list { isIn[state] = false }
    list.removeAll(keepingCapacity: true)
  }
}

enum PatternInstruction: Hashable, Sendable {
  case scalar(ScalarSet)
  /// Goes on at the next instruction and at this one.
  case split(Int)
  case jump(Int)
  case start
  case end
  case match
}

struct ScalarSet: Hashable, Sendable {
  var ranges: [ClosedRange<UInt32>] = []
  var isNegated = false

  func contains(_ scalar: Unicode.Scalar) -> Bool {
    ranges.contains { $0.contains(scalar.value) } != isNegated
  }

  mutating func insert(_ range: ClosedRange<Unicode.Scalar>) {
    ranges.append(range.lowerBound.value...range.upperBound.value)
  }

  static let digit = ScalarSet(ranges: [0x30...0x39])
  static let word = ScalarSet(ranges: [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
  static let space = ScalarSet(ranges: [0x09...0x0A, 0x0C...0x0D, 0x20...0x20])
  static let anythingButNewline = ScalarSet(ranges: [0x0A...0x0A], isNegated: true)
}
