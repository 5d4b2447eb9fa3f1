import MainstreetAPI
import NIOCore
import RPC
import Testing

/// Bytes no honest peer sends. None may crash, hang or be taken for something else.
@Suite struct MalformedTests {
  private func error<Message: RPC.Message>(_ bytes: [UInt8], as type: Message.Type) -> String? {
    do throws(MessageDecodingError) {
      _ = try Message(decoding: ByteBuffer(bytes: bytes))
      return nil
    } catch {
      return error.message
    }
  }

  private static func varint(_ value: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  private static func field(_ number: Int, _ content: [UInt8]) -> [UInt8] {
    varint(number << 3 | 2) + varint(content.count) + content
  }

  @Test(
    "Each is refused with what is wrong and where",
    arguments: [
      ([0x0A], "service: ends too early"),
      ([0x0A, 5, 0x61], "service: ends too early"),
      ([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], "service: ends too early"),
      (
        [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        "service: varint is longer than 32 bits"
      ),
      ([0x8A], "ends too early"),
      ([0x8A, 0x80, 0x80, 0x80, 0x80, 0x00, 0x00], "varint is longer than 32 bits"),
      ([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], "varint is longer than 64 bits"),
      ([0xFA, 0xFF, 0xFF, 0xFF, 0x7F, 0x00], "field number is too large"),
      ([0x02, 0x00], "field number 0 is not allowed"),
      ([0x08, 0x01], "service: has wire type 0, which its type does not"),
      ([0x09, 1, 2, 3, 4, 5, 6, 7, 8], "service: has wire type 1, which its type does not"),
      ([0x0D, 1, 2, 3, 4], "service: has wire type 5, which its type does not"),
      ([0x0B, 0x0C], "field 1 has wire type 3, which (group) is not supported"),
      ([0x13, 0x14], "field 2 has wire type 3, which (group) is not supported"),
      ([0x0C], "field 1 has wire type 4, which (group) is not supported"),
      ([0x0E], "field 1 has wire type 6, which does not exist"),
      ([0x0F], "field 1 has wire type 7, which does not exist"),
      ([0x0A, 1, 0x00], "service: holds a NUL character"),
      ([0x0A, 10] + Array("12345678".utf8) + [0x61, 0x00], "service: holds a NUL character"),
      ([0x0A, 10, 0x61, 0x00] + Array("12345678".utf8), "service: holds a NUL character"),
      ([0x10], "ends too early"),
      ([0x10, 0x80], "ends too early"),
      ([0x11, 1, 2, 3], "ends too early"),
      ([0x15, 1, 2], "ends too early"),
    ] as [([UInt8], String)])
  func corpus(bytes: [UInt8], message: String) {
    #expect(error(bytes, as: HealthCheckRequest.self) == message)
  }

  @Test(
    "Text that is not UTF-8 is refused",
    arguments: [
      [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x41], [0xE0, 0x80, 0x80],
      [0xE0, 0x9F, 0xBF],
      [0xE1, 0x80], [0xE1, 0x80, 0x41], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80],
      [0xF0, 0x8F, 0xBF, 0xBF], [0xF1, 0x80, 0x80], [0xF1, 0x80, 0x80, 0x41], [0xF1, 0x80, 0x41, 0x80],
      [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFE], [0xFF],
    ] as [[UInt8]])
  func notUTF8(text: [UInt8]) {
    for padding in ["", "a", "1234567", "12345678", "é2345678"] {
      let bytes = Self.field(1, Array(padding.utf8) + text)
      #expect(error(bytes, as: HealthCheckRequest.self) == "service: is not UTF-8")
      let followed = Self.field(1, Array(padding.utf8) + text + Array("12345678".utf8))
      #expect(error(followed, as: HealthCheckRequest.self) == "service: is not UTF-8")
    }
  }

  @Test(
    "Every scalar at the edge of a length is accepted",
    arguments: [
      "\u{1}", "\u{7F}", "\u{80}", "\u{7FF}", "\u{800}", "\u{D7FF}", "\u{E000}", "\u{FFFF}", "\u{10000}",
      "\u{10FFFF}",
    ])
  func edgesOfUTF8(text: String) {
    for padding in ["", "1234567", "12345678"] {
      #expect(
        error(Self.field(1, Array((padding + text + padding).utf8)), as: HealthCheckRequest.self) == nil)
    }
  }

  @Test("The error tells the path to the field")
  func path() {
    let poll = Self.field(1, [0xFF])
    #expect(error(Self.field(1, poll), as: RecordPollsRequest.self) == "polls.store_id: is not UTF-8")
    let timestamp = Self.field(3, [0x0A, 0])
    #expect(
      error(Self.field(1, timestamp), as: RecordPollsRequest.self)
        == "polls.timestamp.seconds: has wire type 2, which its type does not")
  }

  @Test("A singular message in pieces is refused: protobuf-c would lose scalars of the first")
  func repeats() {
    let pieces = Self.field(3, [0x08, 1]) + Self.field(3, [0x10, 2])
    #expect(error(pieces, as: Poll.self) == "timestamp: occurs twice")
  }

  @Test("The last of a singular scalar wins")
  func lastWins() throws {
    let bytes = Self.field(1, Array("a".utf8)) + Self.field(1, Array("b".utf8))
    #expect(try HealthCheckRequest(decoding: ByteBuffer(bytes: bytes)).service == "b")
  }

  /// Fields of two equal bytes: number 2, which nobody knows, with the value 16.
  private func fields(_ count: Int) -> [UInt8] { [UInt8](repeating: 0x10, count: 2 * count) }

  @Test("More fields than a message may have are refused before they are decoded")
  func tooManyFields() {
    #expect(error(fields((1 << 20) + 1), as: HealthCheckRequest.self) == "has more than 1048576 fields")
  }

  @Test("A small message that decodes to a large one runs out of its budget, cleanly")
  func budget() {
    #expect(error(fields(1000), as: HealthCheckRequest.self) == nil)
    // Two bytes on the wire, above sixty in memory.
    #expect(
      error(fields(1 << 20), as: HealthCheckRequest.self)
        == "takes more memory to decode than is allowed, or is malformed")
  }

  @Test("Every prefix of a message is either refused or a message")
  func prefixes() {
    let bytes = Array(buffer: Self.store.encoded())
    for count in 0..<bytes.count {
      guard let store = try? Store(decoding: ByteBuffer(bytes: bytes[..<count])) else { continue }
      #expect((try? Store(decoding: store.encoded())) == store)
    }
  }

  @Test("Mutated messages are either refused or survive a round trip", arguments: 0..<40)
  func mutations(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let original = Array(buffer: Self.store.encoded())
    for _ in 0..<500 {
      var bytes = original
      for _ in 0...Int.random(in: 0...3, using: &random) {
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes[at] ^= 1 << UInt8.random(in: 0...7, using: &random)
        case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
        default: bytes.insert(contentsOf: bytes[at...].prefix(20), at: at)
        }
      }
      guard let store = try? Store(decoding: ByteBuffer(bytes: bytes)) else { continue }
      #expect((try? Store(decoding: store.encoded())) == store)
    }
  }

  private static let store = Store(
    storeId: "0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f", name: "Café am Markt", timezone: "Europe/Berlin",
    externalId: "8419537941919820732", createdAt: Timestamp(seconds: 1_674_670_402, nanos: 479_220_000),
    businessHours: (0..<7).map { BusinessHours(dayOfWeek: $0, startTime: "09:00", endTime: "18:30:00") })
}
