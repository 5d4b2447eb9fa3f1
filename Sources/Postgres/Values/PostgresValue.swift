/// A Swift type that stands for one of SQL.
package protocol PostgresTyped: Sendable {
  static var postgresType: PostgresType { get }
}

/// A value that can be a parameter, in Postgres' binary format.
package protocol PostgresEncodable: PostgresTyped {
  /// Whether this is SQL NULL; then `encode` is not called.
  var isNull: Bool { get }
  /// Appends the binary form, without its length.
  func encode(into writer: inout WireWriter)
}

/// A value that can be read from a result, in Postgres' binary format.
package protocol PostgresDecodable: PostgresTyped {
  /// Decoding is strict: a column of any other type is an error, never a conversion.
  static func accepts(_ type: PostgresType) -> Bool
  /// Reads exactly the bytes of one value that is not NULL.
  static func decode(_ reader: inout WireReader) throws(WireError) -> Self
  /// What NULL becomes; nil where NULL is an error.
  static var null: Self? { get }
}

package typealias PostgresValue = PostgresEncodable & PostgresDecodable

extension PostgresEncodable {
  package var isNull: Bool { false }
}

extension PostgresDecodable {
  package static func accepts(_ type: PostgresType) -> Bool { type == postgresType }
  package static var null: Self? { nil }
}

extension Optional: PostgresTyped where Wrapped: PostgresTyped {
  package static var postgresType: PostgresType { Wrapped.postgresType }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
  package var isNull: Bool { self?.isNull ?? true }
  package func encode(into writer: inout WireWriter) { self?.encode(into: &writer) }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
  package static func accepts(_ type: PostgresType) -> Bool { Wrapped.accepts(type) }
  package static func decode(_ reader: inout WireReader) throws(WireError) -> Wrapped? {
    try Wrapped.decode(&reader)
  }
  package static var null: Wrapped?? { .some(nil) }
}

/// Bytes that are not what their type promises.
package struct WireError: Error, Hashable {
  package var message: String
  package init(_ message: String) { self.message = message }
}

/// Appends binary values. Integers are big-endian.
package struct WireWriter: Sendable {
  package private(set) var bytes: [UInt8] = []

  package init() {}

  mutating func reserveCapacity(_ count: Int) { bytes.reserveCapacity(count) }

  package mutating func write<Integer: FixedWidthInteger>(_ integer: Integer) {
    withUnsafeBytes(of: integer.bigEndian) { bytes.append(contentsOf: $0) }
  }

  package mutating func write(contentsOf more: some Sequence<UInt8>) {
    bytes.append(contentsOf: more)
  }

  /// One value behind its length, −1 for NULL: the form of a parameter, of an array's element and of
  /// a field in binary COPY alike.
  package mutating func writeValue(_ value: some PostgresEncodable) {
    guard !value.isNull else { return write(Int32(-1)) }
    let start = bytes.count
    write(Int32(0))
    value.encode(into: &self)
    let length = Int32(truncatingIfNeeded: bytes.count - start - 4)
    withUnsafeBytes(of: length.bigEndian) { bytes.replaceSubrange(start..<start + 4, with: $0) }
  }

  package mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }
}

/// Reads binary values from memory that must outlive it.
package struct WireReader {
  package private(set) var bytes: UnsafeRawBufferPointer

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  package var count: Int { bytes.count }

  package mutating func read<Integer: FixedWidthInteger>(
    _: Integer.Type = Integer.self
  ) throws(WireError) -> Integer {
    let size = MemoryLayout<Integer>.size
    guard bytes.count >= size else { throw WireError("ends early") }
    let value = Integer(bigEndian: bytes.loadUnaligned(as: Integer.self))
    bytes = UnsafeRawBufferPointer(rebasing: bytes[size...])
    return value
  }

  /// The next `count` bytes; valid as long as the result they come from.
  package mutating func readBytes(_ count: Int) throws(WireError) -> UnsafeRawBufferPointer {
    guard count >= 0, bytes.count >= count else { throw WireError("ends early") }
    let head = UnsafeRawBufferPointer(rebasing: bytes[..<count])
    bytes = UnsafeRawBufferPointer(rebasing: bytes[count...])
    return head
  }

  package mutating func readRemaining() -> UnsafeRawBufferPointer {
    defer { bytes = UnsafeRawBufferPointer(rebasing: bytes[bytes.count...]) }
    return bytes
  }

  /// A value behind its length, as arrays and ranges hold them.
  package mutating func readValue<Value: PostgresDecodable>(
    _: Value.Type = Value.self
  ) throws(WireError) -> Value {
    let length = try read(Int32.self)
    guard length >= 0 else {
      guard let null = Value.null else { throw WireError("holds a NULL where none was expected") }
      return null
    }
    var inner = WireReader(try readBytes(Int(length)))
    return try inner.readWhole()
  }

  /// Decodes everything left as one value.
  mutating func readWhole<Value: PostgresDecodable>() throws(WireError) -> Value {
    let value = try Value.decode(&self)
    guard bytes.isEmpty else { throw WireError("has \(bytes.count) bytes too many") }
    return value
  }
}
