/// Gives each store of a file a small number, in order of first sight, without making a string for every row.
/// An open-addressed table over one array of bytes.
struct StoreNumbers {
  private var bytes: [UInt8] = []
  private var ends: [Int] = []
  /// Number + 1 of the store in a slot, 0 for an empty one. A power of two long, at most half full.
  private var slots: [Int32] = Array(repeating: 0, count: 1 << 12)
  /// Against files made to collide.
  private let seed: UInt64 = .random(in: .min ... .max)

  var count: Int { ends.count }

  /// Every store with its number, in order.
  var all: [(number: Int32, name: String)] {
    ends.indices.map { (Int32($0), String(decoding: bytes[range($0)], as: UTF8.self)) }
  }

  /// Forgets the stores from `count` on. A refused row must not create a store, nor take up room.
  mutating func forget(downTo count: Int) {
    while ends.count > count {
      let newest = ends.count - 1
      // Nothing was put in after it, so no search leads past its slot.
      var slot = hash(bytes.span, range(newest)) & (slots.count - 1)
      while slots[slot] != Int32(newest + 1) { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = 0
      bytes.removeLast(range(newest).count)
      ends.removeLast()
    }
  }

  /// The number of the store whose id is in `field`.
  mutating func number(_ text: Span<UInt8>, _ field: Range<Int>) -> Int32 {
    if (count + 1) * 2 > slots.count { grow() }
    var slot = hash(text, field) & (slots.count - 1)
    while slots[slot] != 0 {
      let known = Int(slots[slot] - 1)
      if equals(range(known), text, field) { return Int32(known) }
      slot = (slot + 1) & (slots.count - 1)
    }
    for index in field { bytes.append(text[index]) }
    ends.append(bytes.count)
    slots[slot] = Int32(count)
    return Int32(count - 1)
  }

  private func range(_ number: Int) -> Range<Int> {
    (number == 0 ? 0 : ends[number - 1])..<ends[number]
  }

  private func equals(_ known: Range<Int>, _ text: Span<UInt8>, _ field: Range<Int>) -> Bool {
    guard known.count == field.count else { return false }
    for offset in 0..<known.count
    where bytes[known.lowerBound + offset] != text[field.lowerBound + offset] { return false }
    return true
  }

  /// FNV-1a from a random start, mixed at the end.
  private func hash(_ text: Span<UInt8>, _ field: Range<Int>) -> Int {
    var hash = seed
    for index in field { hash = (hash ^ UInt64(text[index])) &* 0x100_0000_01B3 }
    hash ^= hash >> 32
    return Int(truncatingIfNeeded: hash &* 0x9E37_79B9_7F4A_7C15 >> 20)
  }

  private mutating func grow() {
    slots = Array(repeating: 0, count: slots.count * 2)
    for number in ends.indices {
      var slot = hash(bytes.span, range(number)) & (slots.count - 1)
      while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = Int32(number + 1)
    }
  }
}
