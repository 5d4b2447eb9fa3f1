/// The parts of a TZif file we use (RFC 8536 section 3): transition times, the offset each begins, and the
/// footer. Names and leap seconds are skipped.
struct TZif {
  var initialOffset: Int64
  var transitions: [Int64]
  var offsets: [Int64]
  var footer: PosixTimeZone?

  init(_ bytes: [UInt8]) throws(TZifError) {
    var reader = Reader(bytes)
    let first = try Header(&reader)
    guard first.version >= UInt8(ascii: "2") else {
      self = try Self.block(first, timeSize: 4, &reader)
      return
    }
    // Files of version 2 and later begin with a block for readers that know 32-bit times only.
    try reader.skip(first.blockSize(timeSize: 4))
    let second = try Header(&reader)
    self = try Self.block(second, timeSize: 8, &reader)
    footer = try Self.footer(&reader)
  }

  private init(initialOffset: Int64, transitions: [Int64], offsets: [Int64]) {
    self.initialOffset = initialOffset
    self.transitions = transitions
    self.offsets = offsets
  }

  private static func block(
    _ header: Header, timeSize: Int, _ reader: inout Reader
  ) throws(TZifError) -> TZif {
    var transitions: [Int64] = []
    for _ in 0..<header.timeCount { transitions.append(try reader.integer(size: timeSize)) }
    var types: [Int] = []
    for _ in 0..<header.timeCount { types.append(Int(try reader.byte())) }
    var typeOffsets: [Int64] = []
    for _ in 0..<header.typeCount {
      typeOffsets.append(try reader.integer(size: 4))
      try reader.skip(2)
    }
    try reader.skip(
      header.nameBytes + header.leapCount * (timeSize + 4) + header.standardCount + header.utCount)
    guard let initial = typeOffsets.first, types.allSatisfy({ $0 < typeOffsets.count }),
      typeOffsets.allSatisfy({ abs($0) <= 93_599 }), zip(transitions, transitions.dropFirst()).allSatisfy(<)
    else { throw TZifError() }
    return TZif(
      initialOffset: initial, transitions: transitions, offsets: types.map { typeOffsets[$0] })
  }

  private static func footer(_ reader: inout Reader) throws(TZifError) -> PosixTimeZone? {
    guard try reader.byte() == UInt8(ascii: "\n") else { throw TZifError() }
    let text = try reader.line()
    if text.isEmpty { return nil }
    guard let rule = PosixTimeZone(text) else { throw TZifError() }
    return rule
  }
}

/// The bytes are not a TZif file we can trust.
package struct TZifError: Error {}

private struct Header {
  var version: UInt8
  var utCount: Int
  var standardCount: Int
  var leapCount: Int
  var timeCount: Int
  var typeCount: Int
  var nameBytes: Int

  init(_ reader: inout Reader) throws(TZifError) {
    for expected in "TZif".utf8 {
      guard try reader.byte() == expected else { throw TZifError() }
    }
    version = try reader.byte()
    try reader.skip(15)
    utCount = try reader.count()
    standardCount = try reader.count()
    leapCount = try reader.count()
    timeCount = try reader.count()
    typeCount = try reader.count()
    nameBytes = try reader.count()
  }

  func blockSize(timeSize: Int) -> Int {
    timeCount * (timeSize + 1) + typeCount * 6 + nameBytes + leapCount * (timeSize + 4) + standardCount
      + utCount
  }
}

private struct Reader {
  private let bytes: [UInt8]
  private var index = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func byte() throws(TZifError) -> UInt8 {
    guard index < bytes.count else { throw TZifError() }
    defer { index += 1 }
    return bytes[index]
  }

  mutating func skip(_ count: Int) throws(TZifError) {
    guard count <= bytes.count - index else { throw TZifError() }
    index += count
  }

  /// Big-endian two's complement.
  mutating func integer(size: Int) throws(TZifError) -> Int64 {
    var value = Int64(Int8(bitPattern: try byte()))
    for _ in 1..<size { value = value << 8 | Int64(try byte()) }
    return value
  }

  /// A count that the file could hold; a forged one must not make us reserve gigabytes.
  mutating func count() throws(TZifError) -> Int {
    let value = try integer(size: 4)
    guard value >= 0, value <= bytes.count else { throw TZifError() }
    return Int(value)
  }

  mutating func line() throws(TZifError) -> ArraySlice<UInt8> {
    guard let end = bytes[index...].firstIndex(of: UInt8(ascii: "\n")) else { throw TZifError() }
    defer { index = end + 1 }
    return bytes[index..<end]
  }
}
