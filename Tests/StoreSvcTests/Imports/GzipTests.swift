import Testing

@testable import StoreSvc

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

  private static func inflate(_ bytes: [UInt8], pieceSize: Int, limit: Int = 1000) throws -> String {
    var inflater = try GzipInflater(limit: limit)
    var output: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: pieceSize) {
      try inflater.inflate(Array(bytes[start..<min(start + pieceSize, bytes.count)])) { output += $0 }
    }
    try inflater.finish()
    return String(decoding: output, as: UTF8.self)
  }

  @Test("Text comes out the same however the input is cut")
  func pieces() throws {
    for pieceSize in 1...Self.compressed.count {
      #expect(try Self.inflate(Self.compressed, pieceSize: pieceSize) == Self.text)
    }
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
