/// Names to indices by open addressing: one hash, almost always one comparison.
struct NameIndex: Sendable {
  private struct Slot {
    var name: [UInt8]
    var index: Int
  }

  private var slots: [Slot?]
  private let mask: Int

  init(_ entries: [(name: String, index: Int)]) {
    var capacity = 4
    while capacity < entries.count * 2 { capacity *= 2 }
    slots = Array(repeating: nil, count: capacity)
    mask = capacity - 1
    for entry in entries {
      let name = Array(entry.name.utf8)
      var position = name.withUnsafeBytes { Self.hash($0) } & mask
      while slots[position] != nil { position = (position + 1) & mask }
      slots[position] = Slot(name: name, index: entry.index)
    }
  }

  func find(_ name: UnsafeRawBufferPointer) -> Int? {
    var position = Self.hash(name) & mask
    while let slot = slots[position] {
      if slot.name.count == name.count, name.elementsEqual(slot.name) { return slot.index }
      position = (position + 1) & mask
    }
    return nil
  }

  /// FNV-1a. The names are ours; only look-ups are the caller's, so it need not resist collisions.
  private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return Int(truncatingIfNeeded: hash ^ hash >> 32)
  }
}
