import Testing

@testable import Edge

/// Texts in the manner of JSONTestSuite: what must be taken, what must be refused (RFC 8259).
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

  @Test(
    "Takes JSON",
    arguments: [
      "{}", "[]", " [ ] ", "\t\r\n{}\n", "null", "true", "false", "0", "-0", "1", "-1", "0.5", "-0.5", "1e5",
      "1E5",
      "1e+5", "1e-5", "1.5e10", "123456789012345678901234567890", "1e400", "\"\"", "\"a\"", "\"\\u0041\"",
      "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\uD83C\\uDFEA\"", "\"\\u0000\"", "\"🏪é\u{7F}\"", "\"\u{FFFF}\"",
      "[1,2,3]", "[[],[[]]]", "{\"a\":1,\"b\":[true,null]}", "{\"\":0}", "{\"a\":{\"a\":{}}}",
      "[\"\\uFFFF\",\"\u{2028}\"]", "{\"a\\u0062\":1}",
    ])
  func takes(text: String) {
    #expect(Self.check(Array(text.utf8)) == nil)
  }

  @Test(
    "Refuses what is not",
    arguments: [
      "", " ", "nul", "nulll", "True", "NaN", "Infinity", "-", "+1", "01", "-01", "1.", ".5", "1.e1", "1e",
      "1e+", "0x1",
      "1_000", "--1", "1 2", "{", "}", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1,,2]", "[1 2]", "{\"a\"",
      "{\"a\":",
      "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,\"a\":1}", "{\"a\" 1}", "{a:1}", "{'a':1}", "{1:1}",
      "{\"a\":1 \"b\":2}",
      "[1}", "{]", "\"", "\"a", "\"\\", "\"\\\"", "\"\\x\"", "\"\\u\"", "\"\\u12\"", "\"\\u123g\"",
      "\"\\uD800\"",
      "\"\\uDC00\"", "\"\\uD800\\uD800\"", "\"\\uD800\\n\"", "\"\\uD800x\"", "\"\n\"", "\"\t\"", "\"\u{0}\"",
      "\u{0}",
      "{}\u{0}", "// c\n1", "/* */1", "1;", "[1]x", "\u{FEFF}1", "{}{}", "'a'", "truefalse", "\u{A0}1",
    ])
  func refuses(text: String) {
    #expect(Self.check(Array(text.utf8)) != nil)
  }

  @Test(
    "Refuses strings that are not UTF-8",
    arguments: [
      [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x80, 0x80],
      [0xE0, 0x9F, 0xBF],
      [0xE2, 0x82], [0xE2, 0x28, 0xA1], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80],
      [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x9F, 0x8F], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
      [0xFE], [0xFF],
    ] as [[UInt8]])
  func utf8(bytes: [UInt8]) {
    let error = Self.check([.quote] + bytes + [.quote])
    #expect(error?.cause == .invalidUTF8)
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
