import Testing

@testable import Edge

/// Depth and position; what JSON is, `JSONGrammarTests` tells.
@Suite struct JSONScannerTests {
  static func check(_ bytes: [UInt8]) -> JSONSyntaxError? {
    bytes.withUnsafeBytes { text in
      var scanner = JSONScanner(text)
      do throws(JSONSyntaxError) {
        try scanner.skipValue(depth: 0)
        try scanner.end()
        return nil
      } catch {
        return error
      }
    }
  }

  @Test("64 levels are taken, 65 are not", arguments: [("[", "]"), ("{\"a\":", "}")])
  func depth(open: String, close: String) {
    func nested(_ levels: Int) -> [UInt8] {
      Array(
        (String(repeating: open, count: levels) + (open == "[" ? "" : "0")
          + String(repeating: close, count: levels))
          .utf8)
    }
    #expect(Self.check(nested(64)) == nil)
    #expect(Self.check(nested(65))?.cause == .tooDeep)
  }

  @Test("Says line and column")
  func position() {
    let text = Array("{\n  \"a\": 1,\n  \"b\": tru\n}".utf8)
    #expect(Self.check(text)?.message(in: text) == "unexpected byte 10 at line 3, column 11")
    let short = Array("{\"a\":".utf8)
    #expect(Self.check(short)?.message(in: short) == "the text ends too early at line 1, column 6")
  }
}
