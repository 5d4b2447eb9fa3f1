import NIOCore
import Postgres

/// Reads polls (store_id uuid, at timestamptz, is_active bool) out of a binary COPY. Every row has the same layout,
/// 39 bytes, which is checked and then read in place.
struct PollRows {
  private var hasHeader = false
  private var rest: [UInt8] = []

  private static let headerSize = 19
  private static let rowSize = 39

  struct Malformed: Error {}

  /// - Parameter chunk: the next piece of the copy; rows may straddle pieces.
  mutating func forEach(
    in chunk: ByteBuffer, _ body: (_ store: UUID, _ at: Instant, _ isActive: Bool) throws -> Void
  ) throws {
    if rest.isEmpty, hasHeader {
      let view = chunk.readableBytesView
      let consumed = try view.withUnsafeBytes { try Self.rows($0, from: 0, body) }
      rest = Array(view.dropFirst(consumed))
    } else {
      rest.append(contentsOf: chunk.readableBytesView)
      var start = 0
      if !hasHeader {
        guard rest.count >= Self.headerSize else { return }
        start = Self.headerSize
        hasHeader = true
      }
      let consumed = try rest.withUnsafeBytes { try Self.rows($0, from: start, body) }
      rest.removeFirst(consumed)
    }
  }

  /// Returns the place after the last whole row.
  private static func rows(
    _ bytes: UnsafeRawBufferPointer, from start: Int, _ body: (UUID, Instant, Bool) throws -> Void
  ) throws -> Int {
    func read<Integer: FixedWidthInteger>(_ offset: Int, as: Integer.Type) -> Integer {
      Integer(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Integer.self))
    }
    var offset = start
    while bytes.count - offset >= 2 {
      let fieldCount = read(offset, as: Int16.self)
      // The trailer is a count of -1.
      if fieldCount == -1 { return bytes.count }
      guard bytes.count - offset >= rowSize else { break }
      guard fieldCount == 3, read(offset + 2, as: Int32.self) == 16, read(offset + 22, as: Int32.self) == 8,
        read(offset + 34, as: Int32.self) == 1
      else { throw Malformed() }
      let store = UUID(high: read(offset + 6, as: UInt64.self), low: read(offset + 14, as: UInt64.self))
      let at = Instant(microseconds: read(offset + 26, as: Int64.self) + Instant.postgresEpoch)
      try body(store, at, bytes[offset + 38] != 0)
      offset += rowSize
    }
    return offset
  }
}
