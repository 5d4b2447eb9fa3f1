import MainstreetAPI
import NIOCore
import RPC
import Testing

@Suite struct RoundTripTests {
  private func roundTrip<Message: RPC.Message & Equatable>(_ message: Message) throws {
    #expect(try Message(decoding: message.encoded()) == message)
  }

  @Test("An empty message is no bytes, and no bytes are an empty message")
  func empty() throws {
    #expect(HealthCheckRequest().encoded().readableBytes == 0)
    #expect(Empty().encoded().readableBytes == 0)
    #expect(try HealthCheckRequest(decoding: ByteBuffer()) == HealthCheckRequest())
    #expect(try Store(decoding: ByteBuffer()) == Store())
  }

  @Test("What is written is what was said: field, wire type, length, bytes")
  func bytes() {
    #expect(HealthCheckRequest(service: "ab").encoded() == ByteBuffer(bytes: [0x0A, 2, 0x61, 0x62]))
    #expect(HealthCheckResponse(status: .serving).encoded() == ByteBuffer(bytes: [0x08, 1]))
    #expect(Timestamp(seconds: -1, nanos: 5).encoded().readableBytes == 13)
    #expect(UpdateStoreRequest(name: "").encoded() == ByteBuffer(bytes: [0x12, 0]))
  }

  @Test("Random stores survive encoding and decoding", arguments: 0..<50)
  func stores(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    try roundTrip(
      Store(
        storeId: random.text(), name: random.text(), timezone: random.text(),
        externalId: random.maybe { $0.text() },
        createdAt: random.maybe { $0.timestamp() }, updatedAt: random.maybe { $0.timestamp() },
        businessHours: random.list { random in
          BusinessHours(
            dayOfWeek: random.maybe { Int32.random(in: .min ... .max, using: &$0) },
            startTime: random.text(), endTime: random.text())
        }))
  }

  @Test("Random polls survive encoding and decoding", arguments: 0..<50)
  func polls(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    try roundTrip(
      RecordPollsRequest(
        polls: random.list { random in
          Poll(
            storeId: random.text(), status: PollStatus(rawValue: Int32.random(in: -3...3, using: &random)),
            timestamp: random.maybe { $0.timestamp() })
        }))
    try roundTrip(
      TriggerReportRequest(
        asOf: random.maybe { $0.timestamp() }, storeIds: random.list { $0.text() }, policy: .step))
  }

  @Test("Random reports survive encoding and decoding", arguments: 0..<50)
  func reports(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    try roundTrip(
      Report(
        reportId: random.text(), status: .running,
        progress: Double.random(in: -1e300...1e300, using: &random),
        engineVersion: random.text(), rowCount: random.maybe { Int64.random(in: .min ... .max, using: &$0) },
        failureReason: random.maybe { $0.text() }))
    try roundTrip(
      HttpBody(
        contentType: "application/octet-stream",
        data: ByteBuffer(
          bytes: (0..<Int.random(in: 0...5000, using: &random)).map { UInt8(truncatingIfNeeded: $0) })))
  }

  @Test("An optional that is set to its zero is not the same as one that is not set")
  func presence() throws {
    try roundTrip(UpdateStoreRequest(storeId: "x", name: "", timezone: nil))
    try roundTrip(BusinessHours(dayOfWeek: 0))
    #expect(try BusinessHours(decoding: BusinessHours(dayOfWeek: 0).encoded()).dayOfWeek == 0)
    #expect(try BusinessHours(decoding: BusinessHours().encoded()).dayOfWeek == nil)
  }

  @Test("An enum number from a newer peer is kept")
  func unrecognized() throws {
    let poll = try Poll(decoding: Poll(status: .unrecognized(77)).encoded())
    #expect(poll.status == .unrecognized(77))
    #expect(poll.status.jsonName == nil)
  }

  @Test("Fields of a newer peer are passed over")
  func unknownFields() throws {
    // service "a", then fields 100 (varint), 101 (fixed64), 102 (bytes), 103 (fixed32)
    let bytes: [UInt8] =
      [0x0A, 1, 0x61] + [0xA0, 0x06, 1] + [0xA9, 0x06, 1, 2, 3, 4, 5, 6, 7, 8] + [0xB2, 0x06, 1, 0xFF]
      + [0xBD, 0x06, 1, 2, 3, 4]
    #expect(try HealthCheckRequest(decoding: ByteBuffer(bytes: bytes)) == HealthCheckRequest(service: "a"))
  }

  @Test("A buffer is decoded from where its reader stands, and appended to where its writer stands")
  func slices() throws {
    var buffer = ByteBuffer(string: "before")
    HealthCheckRequest(service: "store").encode(into: &buffer)
    buffer.moveReaderIndex(forwardBy: 6)
    #expect(try HealthCheckRequest(decoding: buffer).service == "store")
  }

  @Test("A message many times the size of the stack and of a chunk survives")
  func large() throws {
    try roundTrip(
      RecordPollsRequest(
        polls: (0..<10_000).map { index in
          Poll(
            storeId: "0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f", status: .active,
            timestamp: Timestamp(seconds: Int64(index), nanos: 0))
        }))
    try roundTrip(HttpBody(data: ByteBuffer(repeating: 7, count: 3 << 20)))
  }
}

/// SplitMix64: small, and the same on every machine.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func maybe<Value>(_ make: (inout Self) -> Value) -> Value? {
    Bool.random(using: &self) ? make(&self) : nil
  }

  mutating func list<Value>(_ make: (inout Self) -> Value) -> [Value] {
    (0..<Int.random(in: 0...40, using: &self)).map { _ in make(&self) }
  }

  mutating func text() -> String {
    let alphabet: [Character] = [
      "a", "Z", "0", " ", "\"", "\n", "é", "ß", "→", "店", "🏪", "\u{10FFFF}", "\u{7F}",
    ]
    return String(
      (0..<Int.random(in: 0...60, using: &self)).compactMap { _ in alphabet.randomElement(using: &self) })
  }

  mutating func timestamp() -> Timestamp {
    Timestamp(
      seconds: Int64.random(in: .min ... .max, using: &self),
      nanos: Int32.random(in: .min ... .max, using: &self))
  }
}
