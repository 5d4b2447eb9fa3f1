/// Which of a message's fields were seen, by index.
struct FieldSet: Sendable, Hashable {
  /// A message type with more fields is refused at start.
  static let capacity = 128

  private var bits: UInt128 = 0

  init() {}

  init(_ indices: some Sequence<Int>) {
    for index in indices { bits |= 1 << UInt128(index) }
  }

  var isEmpty: Bool { bits == 0 }

  func contains(_ index: Int) -> Bool { bits >> UInt128(index) & 1 == 1 }

  /// False when it was there already.
  mutating func insert(_ index: Int) -> Bool {
    let bit: UInt128 = 1 << UInt128(index)
    defer { bits |= bit }
    return bits & bit == 0
  }

  mutating func remove(_ index: Int) {
    bits &= ~(1 << UInt128(index))
  }

  func subtracting(_ other: FieldSet) -> FieldSet {
    var result = self
    result.bits &= ~other.bits
    return result
  }
}
