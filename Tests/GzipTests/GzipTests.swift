import Gzip
import Testing

@Suite("gzip")
struct GzipTests {
  /// `store_id,timezone_str\nx,Europe/Paris\ny,Asia/Tokyo\n`
  static let compressed: [UInt8] = [
    0x1F, 0x8B, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x2B, 0x2E, 0xC9, 0x2F, 0x4A, 0x8D,
    0xCF, 0x4C, 0xD1, 0x29, 0xC9, 0xCC, 0x4D, 0xAD, 0xCA, 0xCF, 0x4B, 0x8D, 0x2F, 0x2E, 0x29, 0xE2,
    0xAA, 0xD0, 0x71, 0x2D, 0x2D, 0xCA, 0x2F, 0x48, 0xD5, 0x0F, 0x48, 0x2C, 0xCA, 0x2C, 0xE6, 0xAA,
    0xD4, 0x71, 0x2C, 0xCE, 0x4C, 0xD4, 0x0F, 0xC9, 0xCF, 0xAE, 0xCC, 0xE7, 0x02, 0x00, 0xEF, 0x81,
    0xC4, 0xF1, 0x32, 0x00, 0x00, 0x00,
  ]
  static let text = "store_id,timezone_str\nx,Europe/Paris\ny,Asia/Tokyo\n"

  private static func inflate(
    _ bytes: [UInt8], pieceSize: Int, outputSize: Int = 64, limit: Int = 1000
  ) throws -> String {
    var inflater = try GzipInflater(limit: limit)
    var text: [UInt8] = []
    var output = [UInt8](repeating: 0, count: outputSize)
    for start in stride(from: 0, to: bytes.count, by: pieceSize) {
      let piece = Array(bytes[start..<min(start + pieceSize, bytes.count)])
      var next = 0
      var count = 0
      repeat {
        count = try inflater.inflate(piece, from: &next, into: &output)
        text += output[..<count]
      } while next < piece.count || count == output.count
    }
    try inflater.finish()
    return String(decoding: text, as: UTF8.self)
  }

  @Test("Text comes out the same however the input is cut")
  func pieces() throws {
    for pieceSize in 1...Self.compressed.count {
      #expect(try Self.inflate(Self.compressed, pieceSize: pieceSize) == Self.text)
    }
  }

  @Test("Text comes out the same however little room there is for it", arguments: 1...51)
  func room(outputSize: Int) throws {
    #expect(try Self.inflate(Self.compressed, pieceSize: 64, outputSize: outputSize) == Self.text)
  }

  @Test(
    "What was deflated inflates to the same, one message after the other", arguments: [0, 1, 1000, 200_000])
  func deflated(size: Int) throws {
    var deflater = GzipDeflater()
    for seed in 1...3 {
      let message = (0..<size).map { UInt8(truncatingIfNeeded: $0 / seed) }
      var output = [UInt8](repeating: 0, count: size + 64)
      let length = message.withUnsafeBytes { message in
        output.withUnsafeMutableBytes { deflater.deflate(message, into: $0) }
      }
      let compressed = Array(output.prefix(try #require(length)))
      #expect(
        try Self.inflate(compressed, pieceSize: 1000, limit: size) == String(decoding: message, as: UTF8.self)
      )
    }
  }

  @Test("What does not fit is not deflated, and the next message is")
  func noRoom() throws {
    var deflater = GzipDeflater()
    let random = (0..<100).map { _ in UInt8.random(in: 0...255) }
    let zeros = [UInt8](repeating: 0, count: 100)
    var output = [UInt8](repeating: 0, count: 99)
    let lengths = [random, zeros].map { message in
      message.withUnsafeBytes { message in
        output.withUnsafeMutableBytes { deflater.deflate(message, into: $0) }
      }
    }
    #expect(lengths[0] == nil)
    #expect(lengths[1] != nil)
  }

  @Test("Members may follow each other")
  func members() throws {
    #expect(try Self.inflate(Self.compressed + Self.compressed, pieceSize: 7) == Self.text + Self.text)
  }

  @Test("Cut short anywhere it says so")
  func truncated() throws {
    for length in 0..<Self.compressed.count {
      #expect(throws: GzipInflater.Failure.truncated) {
        try Self.inflate(Array(Self.compressed[..<length]), pieceSize: 16)
      }
    }
  }

  @Test("It lets out no more than its limit")
  func limit() throws {
    #expect(throws: GzipInflater.Failure.tooLarge(limit: 10)) {
      try Self.inflate(Self.compressed, pieceSize: 64, limit: 10)
    }
  }

  @Test("Something else behind the data is damage")
  func tail() throws {
    #expect(throws: GzipInflater.Failure.corrupt) {
      try Self.inflate(Self.compressed + [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], pieceSize: 64)
    }
  }
}
