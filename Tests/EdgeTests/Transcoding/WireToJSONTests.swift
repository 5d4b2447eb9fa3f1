import NIOCore
import Testing

@testable import Edge

@Suite struct WireToJSONTests {
  static let zeros = """
    {"flag":false,"small":0,"big":0,"usmall":0,"ubig":0,"zig":0,"zag":0,"f32":0,"f64":0,"s32":0,"s64":0,\
    "single":0,"real":0,"text":"","blob":"","color":"unspecified","numbers":[],"words":[],"items":[],"counts":{},\
    "longName":"","colors":[],"free":{},"table":{}}
    """

  @Test("Zeros and empty lists are written, unset messages and optionals are not")
  func empty() throws {
    #expect(try Transcoding.write([]) == Self.zeros)
  }

  @Test("Fields come out in their declared order whatever order they came in, the last value winning")
  func order() throws {
    let wire =
      SampleSchema.string(27, "z") + SampleSchema.varint(2, 1) + SampleSchema.varint(24, 0)
      + SampleSchema.varint(2, 7)
    let json = try Transcoding.write(wire)
    #expect(json.hasPrefix("{\"flag\":false,\"small\":7,"))
    #expect(json.contains("\"maybe\":0,\"longName\":\"z\""))
  }

  @Test("Lists may be packed, not packed, or both, with other fields between")
  func repeated() throws {
    let wire =
      SampleSchema.varint(20, 1) + SampleSchema.string(14, "x") + SampleSchema.delimited(20, [2, 3])
      + SampleSchema.string(21, "a") + SampleSchema.varint(20, 4) + SampleSchema.string(21, "b")
    let json = try Transcoding.write(wire)
    #expect(Transcoding.value(of: "numbers", in: json) == "[1,2,3,4]")
    #expect(Transcoding.value(of: "words", in: json) == "[\"a\",\"b\"]")
  }

  @Test("A submessage in pieces is put together")
  func merged() throws {
    let wire =
      SampleSchema.delimited(17, SampleSchema.string(1, "a") + SampleSchema.varint(2, 1))
      + SampleSchema.delimited(17, SampleSchema.varint(2, 2))
    #expect(
      Transcoding.value(of: "inner", in: try Transcoding.write(wire))
        == "{\"name\":\"a\",\"rank\":2,\"deep\":[]}")
  }

  @Test("Unknown fields are left out")
  func unknown() throws {
    #expect(try Transcoding.write(SampleSchema.varint(999, 1) + SampleSchema.string(998, "x")) == Self.zeros)
  }

  @Test("An enum number without a name is written as the number")
  func unknownEnum() throws {
    #expect(Transcoding.value(of: "color", in: try Transcoding.write(SampleSchema.varint(16, 9))) == "9")
  }

  @Test("Strings are escaped where JSON asks for it")
  func escapes() throws {
    let json = try Transcoding.write(SampleSchema.string(14, "a\"b\\c\n\r\t\u{8}\u{c}\u{1f}\u{7f}é🏪/"))
    #expect(Transcoding.value(of: "text", in: json) == #""a\"b\\c\n\r\t\b\f\u001f"# + "\u{7f}é🏪/\"")
  }

  @Test("Map entries without key or value have their zeros")
  func mapDefaults() throws {
    let json = try Transcoding.write(
      SampleSchema.delimited(23, []) + SampleSchema.delimited(100, SampleSchema.string(1, "k")))
    #expect(Transcoding.value(of: "counts", in: json) == "{\"\":0}")
    #expect(Transcoding.value(of: "table", in: json) == "{\"k\":{\"name\":\"\",\"rank\":0,\"deep\":[]}}")
  }

  @Test(
    "Bytes that are no message are refused",
    arguments: [
      [0x08], [0x80], [0x72, 5, 0x61], [0x72, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], [0x72, 1, 0xFF], [0x0B],
      [0x00, 1],
      [0x45, 1, 2], [0x49, 1], [0x70, 1], [0x08] + [UInt8](repeating: 0xFF, count: 11),
      [0x92, 1, 2, 0x10, 0xFF],
      [0x92, 1, 2, 0x08], [0xA2, 1, 1, 0x80], [0x8A, 1, 2, 0x0A, 5],
    ] as [[UInt8]])
  func malformed(wire: [UInt8]) {
    #expect(throws: MalformedMessage.self) { try Transcoding.write(wire) }
  }

  @Test("Whatever the bytes, the outcome is JSON or a refusal")
  func noise() throws {
    var generator = SplitMix(state: 42)
    for _ in 0..<20_000 {
      let count = Int.random(in: 0...24, using: &generator)
      let wire = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
      if let json = try? Transcoding.write(wire) {
        #expect(JSONScannerTests.check(Array(json.utf8)) == nil, "\(wire)")
      }
    }
  }
}

/// Deterministic, so that a failure can be seen again.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
