extension Pattern {
  /// The shortest value that matches, for people to look at: `00:00` for a time of day. Nil when nothing does.
  public var example: String? {
    var seen: Set<Position> = []
    // Breadth first: all positions that a value of one length can reach come before those of the next.
    var reached = [(position: Position(instruction: 0), text: "")]
    while !reached.isEmpty {
      var next: [(position: Position, text: String)] = []
      var index = 0
      while index < reached.count {
        let (position, text) = reached[index]
        index += 1
        guard seen.insert(position).inserted else { continue }
        var following = position
        following.instruction += 1
        switch program[position.instruction] {
        case .match: return text
        // What takes no character comes at once, so that of two alternatives the first one written is shown.
        case .jump(let target): reached.insert((Position(position, at: target), text), at: index)
        case .split(let target):
          reached.insert((Position(position, at: target), text), at: index)
          reached.insert((following, text), at: index)
        case .start:
          if !position.hasBegun { reached.insert((following, text), at: index) }
        case .end:
          following.hasEnded = true
          reached.insert((following, text), at: index)
        case .scalar(let set):
          guard !position.hasEnded, let scalar = set.example else { continue }
          following.hasBegun = true
          next.append((following, text + String(scalar)))
        }
      }
      reached = next
    }
    return nil
  }

  /// Where in the program, and what that position forbids: `^` behind a character, a character behind `$`.
  private struct Position: Hashable {
    var instruction: Int
    var hasBegun = false
    var hasEnded = false

    init(instruction: Int) { self.instruction = instruction }

    init(_ other: Position, at instruction: Int) {
      self = other
      self.instruction = instruction
    }
  }
}

extension ScalarSet {
  fileprivate var example: Unicode.Scalar? {
    if !isNegated { return ranges.first.flatMap { Unicode.Scalar($0.lowerBound) } }
    return "a0 _".unicodeScalars.first(where: contains)
  }
}
