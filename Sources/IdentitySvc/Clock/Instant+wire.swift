import MainstreetAPI
import Postgres
import Synchronization

extension Instant: PostgresArrayElement {
  static func now() -> Instant { Instant(PostgresTimestamp.now()) }

  init(_ timestamp: PostgresTimestamp) { self.init(microseconds: timestamp.microseconds) }

  var timestamp: PostgresTimestamp { PostgresTimestamp(microseconds: microseconds) }

  static var postgresType: PostgresType { PostgresTimestamp.postgresType }
  static var postgresArrayType: PostgresType { PostgresTimestamp.postgresArrayType }
  func encode(into writer: inout WireWriter) { timestamp.encode(into: &writer) }
  static func decode(_ reader: inout WireReader) throws(WireError) -> Instant {
    Instant(try PostgresTimestamp.decode(&reader))
  }
}

extension Timestamp {
  init(_ instant: Instant) {
    let timestamp = instant.timestamp
    self.init(seconds: timestamp.seconds, nanos: timestamp.nanoseconds)
  }
}

extension UUID {
  /// Version 7 (RFC 9562, section 6.2), with the time to the microsecond and then a counter: what one transaction makes
  /// is in the order in which it was made, and so are the lists that are in the order of ids.
  static func v7(now: Instant) -> UUID {
    let microseconds = UInt64(max(0, now.microseconds))
    let milliseconds = microseconds / 1000 & 0xFFFF_FFFF_FFFF
    let fraction = microseconds % 1000 * 4
    let count = counter.next() & (1 << counterBits - 1)
    let random = UInt64.random(in: 0..<1 << randomBits)
    return UUID(
      high: milliseconds << 16 | 0x7000 | fraction, low: 0x8000_0000_0000_0000 | count << randomBits | random)
  }

  private static let counter = Counter()
  private static let counterBits: UInt64 = 20
  private static let randomBits: UInt64 = 42

  private final class Counter: Sendable {
    private let count = Atomic<UInt64>(0)
    func next() -> UInt64 { count.wrappingAdd(1, ordering: .relaxed).newValue }
  }

  /// In place of a tenant for what belongs to none.
  static let noTenant = UUID(high: 0, low: 0)
}
