import NIOCore
import Testing

@testable import Edge

@Suite struct JSONToWireTests {
  @Test(
    "Each kind of field goes to its wire form",
    arguments: [
      ("{\"flag\":true}", [0x08, 1]), ("{\"flag\":false}", [0x08, 0]),
      ("{\"small\":-1}", [0x10] + [UInt8](repeating: 0xFF, count: 9) + [1]),
      ("{\"small\":300}", [0x10, 0xAC, 0x02]),
      ("{\"zig\":-1}", [0x30, 1]), ("{\"zig\":1}", [0x30, 2]), ("{\"zag\":-2}", [0x38, 3]),
      ("{\"f32\":1}", [0x45, 1, 0, 0, 0]), ("{\"s32\":-1}", [0x55, 0xFF, 0xFF, 0xFF, 0xFF]),
      ("{\"f64\":1}", [0x49, 1, 0, 0, 0, 0, 0, 0, 0]), ("{\"single\":1.5}", [0x65, 0, 0, 0xC0, 0x3F]),
      ("{\"real\":-2}", [0x69, 0, 0, 0, 0, 0, 0, 0, 0xC0]), ("{\"text\":\"é\"}", [0x72, 2, 0xC3, 0xA9]),
      ("{\"text\":\"\\u00e9\\n\"}", [0x72, 3, 0xC3, 0xA9, 0x0A]), ("{\"blob\":\"AQI=\"}", [0x7A, 2, 1, 2]),
      ("{\"color\":\"red\"}", [0x80, 1, 1]), ("{\"inner\":{\"rank\":1}}", [0x8A, 1, 2, 0x10, 1]),
      ("{\"inner\":{}}", [0x8A, 1, 0]),
      ("{\"at\":\"1970-01-01T00:00:01.5Z\"}", [0x92, 1, 8, 8, 1, 0x10] + [0x80, 0xCA, 0xB5, 0xEE, 1]),
      ("{\"numbers\":[1,2]}", [0xA2, 1, 2, 1, 2]), ("{\"numbers\":[]}", []),
      ("{\"words\":[\"a\",\"\"]}", [0xAA, 1, 1, 0x61, 0xAA, 1, 0]),
      ("{\"counts\":{\"a\":1}}", [0xBA, 1, 5, 0x0A, 1, 0x61, 0x10, 1]), ("{\"maybe\":0}", [0xC0, 1, 0]),
      ("{\"maybe\":null}", []), ("{}", []), (" { } ", []),
    ] as [(String, [UInt8])])
  func kinds(json: String, wire: [UInt8]) throws {
    let outcome = try Transcoding.read(json)
    #expect(outcome.violations.isEmpty)
    #expect(outcome.wire == wire)
  }

  @Test("Lengths of more than a byte are moved into place", arguments: [127, 128, 16_383, 16_384, 70_000])
  func longSubmessages(count: Int) throws {
    let text = String(repeating: "x", count: count)
    let outcome = try Transcoding.read("{\"inner\":{\"deep\":[{\"text\":\"\(text)\"}],\"name\":\"after\"}}")
    let deep = SampleSchema.delimited(3, SampleSchema.string(1, text))
    #expect(outcome.wire == SampleSchema.delimited(17, deep + SampleSchema.string(1, "after")))
  }

  @Test("JSON and proto names are both taken", arguments: ["longName", "long_name", "long\\u004eame"])
  func names(name: String) throws {
    #expect(try Transcoding.read("{\"\(name)\":\"x\"}").wire == SampleSchema.string(27, "x"))
  }

  @Test(
    "Integers are taken as numbers and as strings, in the range of their type",
    arguments: [
      ("small", "2147483647", "2147483647"), ("small", "\"-2147483648\"", "-2147483648"),
      ("small", "2147483648", "/small OUT_OF_RANGE"), ("small", "1.0", "1"), ("small", "1e3", "1000"),
      ("small", "1.5", "/small OUT_OF_RANGE"), ("small", "1e99", "/small OUT_OF_RANGE"),
      ("small", "-0", "0"), ("usmall", "4294967295", "4294967295"), ("usmall", "-1", "/usmall OUT_OF_RANGE"),
      ("usmall", "4294967296", "/usmall OUT_OF_RANGE"), ("big", "9007199254740992", "9007199254740992"),
      ("big", "9007199254740993", "\"9007199254740993\""),
      ("big", "\"9223372036854775807\"", "\"9223372036854775807\""),
      ("big", "-9223372036854775808", "\"-9223372036854775808\""),
      ("big", "9223372036854775808", "/big OUT_OF_RANGE"),
      ("ubig", "18446744073709551615", "\"18446744073709551615\""),
      ("ubig", "18446744073709551616", "/ubig OUT_OF_RANGE"),
      ("zag", "-9223372036854775808", "\"-9223372036854775808\""), ("s64", "-1", "-1"), ("f64", "7", "7"),
      ("zig", "-2147483648", "-2147483648"), ("small", "\"\"", "/small WRONG_TYPE"),
      ("small", "\" 1\"", "/small WRONG_TYPE"),
      ("small", "\"01\"", "/small WRONG_TYPE"), ("small", "\"+1\"", "/small WRONG_TYPE"),
      ("small", "true", "/small WRONG_TYPE"),
      ("small", "[1]", "/small WRONG_TYPE"), ("small", "{}", "/small WRONG_TYPE"),
    ])
  func integers(field: String, value: String, expected: String) throws {
    #expect(try Transcoding.roundTrip(field, value) == expected)
  }

  @Test(
    "Scalars of other kinds",
    arguments: [
      ("flag", "1", "/flag WRONG_TYPE"), ("flag", "\"true\"", "/flag WRONG_TYPE"),
      ("text", "1", "/text WRONG_TYPE"),
      ("text", "\"a\\u0000b\"", "/text NUL_CHARACTER"), ("text", "\"\\ud83c\\udfea\"", "\"🏪\""),
      ("real", "1", "1"), ("real", "0.1", "0.1"), ("real", "1e300", "1e+300"),
      ("real", "1e400", "/real OUT_OF_RANGE"),
      ("real", "\"NaN\"", "\"NaN\""), ("real", "\"-Infinity\"", "\"-Infinity\""), ("real", "\"1.5\"", "1.5"),
      ("real", "\"nan\"", "/real WRONG_TYPE"), ("real", "-0.0", "-0.0"), ("single", "0.1", "0.1"),
      ("single", "1e39", "/single OUT_OF_RANGE"),
      ("blob", "\"AQID\"", "\"AQID\""), ("blob", "\"-_8\"", "\"+/8=\""), ("blob", "\"AQ\"", "\"AQ==\""),
      ("blob", "\"AQ==\"", "\"AQ==\""),
      ("blob", "\"A\"", "/blob INVALID_BASE64"), ("blob", "\"AQ=\"", "/blob INVALID_BASE64"),
      ("blob", "\"AR\"", "/blob INVALID_BASE64"),
      ("blob", "\"A Q=\"", "/blob INVALID_BASE64"), ("blob", "\"\"", "\"\""),
      ("color", "\"RED\"", "\"red\""), ("color", "\"COLOR_DARK_BLUE\"", "\"dark_blue\""),
      ("color", "\"Dark_Blue\"", "\"dark_blue\""),
      ("color", "2", "\"dark_blue\""), ("color", "0", "\"unspecified\""),
      ("color", "9", "/color UNKNOWN_ENUM_VALUE"),
      ("color", "\"green\"", "/color UNKNOWN_ENUM_VALUE"), ("color", "true", "/color WRONG_TYPE"),
      ("colors", "[\"red\",\"RED\"]", "[\"red\",\"red\"]"), ("inner", "[]", "/inner WRONG_TYPE"),
      ("inner", "\"x\"", "/inner WRONG_TYPE"),
      ("numbers", "1", "/numbers WRONG_TYPE"), ("numbers", "[1,null]", "/numbers/1 WRONG_TYPE"),
      ("items", "[{},1]", "/items/1 WRONG_TYPE"),
      ("counts", "{\"b\":2,\"a\":1}", "{\"b\":2,\"a\":1}"),
      ("counts", "{\"a\":1,\"a\":2}", "/counts/a DUPLICATE_KEY"),
      ("counts", "{\"a/b~\":\"x\"}", "/counts/a~1b~0 WRONG_TYPE"),
      ("table", "{\"k\":{\"rank\":3}}", "{\"k\":{\"name\":\"\",\"rank\":3,\"deep\":[]}}"),
    ])
  func scalars(field: String, value: String, expected: String) throws {
    #expect(try Transcoding.roundTrip(field, value) == expected)
  }

  @Test(
    "Timestamps are RFC 3339, out in UTC",
    arguments: [
      ("2023-01-25T18:13:22.479220Z", "2023-01-25T18:13:22.47922Z"),
      ("2023-01-25T18:13:22Z", "2023-01-25T18:13:22Z"),
      ("2023-01-25t18:13:22z", "2023-01-25T18:13:22Z"), ("2023-01-25T18:13:22+05:30", "2023-01-25T12:43:22Z"),
      ("2024-02-29T23:59:59.999999999-00:01", "2024-03-01T00:00:59.999999999Z"),
      ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"),
      ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"), ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
      ("1900-03-01T00:00:00Z", "1900-03-01T00:00:00Z"), ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z"),
      ("2023-02-29T00:00:00Z", nil), ("1900-02-29T00:00:00Z", nil), ("2023-13-01T00:00:00Z", nil),
      ("2023-00-01T00:00:00Z", nil),
      ("2023-01-32T00:00:00Z", nil), ("2023-01-25T24:00:00Z", nil), ("2023-01-25T23:60:00Z", nil),
      ("2023-01-25T23:59:60Z", nil),
      ("2023-01-25T18:13:22", nil), ("2023-01-25 18:13:22Z", nil), ("2023-01-25T18:13:22.Z", nil),
      ("2023-01-25T18:13:22.1234567890Z", nil),
      ("2023-01-25T18:13:22+0530", nil), ("2023-01-25T18:13:22+24:00", nil), ("0000-12-31T00:00:00Z", nil),
      ("23-01-25T18:13:22Z", nil),
      ("0001-01-01T00:00:00+00:01", nil), ("2023-01-25T18:13:22Zx", nil), ("", nil), ("1674670402", nil),
    ])
  func timestamps(text: String, expected: String?) throws {
    #expect(
      try Transcoding.roundTrip("at", "\"\(text)\"") == expected.map { "\"\($0)\"" }
        ?? "/at INVALID_TIMESTAMP")
  }

  @Test(
    "Durations are seconds",
    arguments: [
      ("1.5s", "1.5s"), ("-0.25s", "-0.25s"), ("0s", "0s"), ("3s", "3s"), ("1.000000001s", "1.000000001s"),
      ("315576000000s", "315576000000s"),
      ("315576000001s", nil), ("1", nil), ("s", nil), (".5s", nil), ("1.s", nil), ("1.0000000001s", nil),
      ("+1s", nil), ("1m", nil),
    ])
  func durations(text: String, expected: String?) throws {
    #expect(
      try Transcoding.roundTrip("span", "\"\(text)\"") == expected.map { "\"\($0)\"" }
        ?? "/span INVALID_DURATION")
  }

  @Test("All violations are reported at once, each with its pointer")
  func several() throws {
    let outcome = try Transcoding.read(
      """
      {"flag":"no","nope":{"a":[1]},"small":1,"small":2,"inner":{"rank":"x","ran/k~":1},
       "items":[{"name":"ok"},{"name":5,"deep":[{},{"text":false}]}],"left":"a","right":{}}
      """)
    #expect(
      outcome.summary == [
        "/flag WRONG_TYPE", "/nope UNKNOWN_FIELD", "/small DUPLICATE_KEY", "/inner/rank WRONG_TYPE",
        "/inner/ran~1k~0 UNKNOWN_FIELD", "/items/1/name WRONG_TYPE", "/items/1/deep/1/text WRONG_TYPE",
        "/right ONEOF_CONFLICT",
      ])
  }

  @Test("A field given under both of its names is given twice")
  func bothNames() throws {
    #expect(
      try Transcoding.read("{\"longName\":\"a\",\"long_name\":\"b\"}").summary == ["/longName DUPLICATE_KEY"])
    #expect(try Transcoding.read("{\"x\":1,\"x\":1}").summary == ["/x UNKNOWN_FIELD", "/x DUPLICATE_KEY"])
  }

  @Test("A body that is no object is the wrong type", arguments: ["[]", "1", "\"x\"", "null", "true"])
  func notAnObject(json: String) throws {
    #expect(try Transcoding.read(json).summary == [" WRONG_TYPE"])
  }

  @Test("A syntax error ends it", arguments: ["{\"flag\":tru}", "{\"flag\":true", "{\"nope\":[}", "{}x", ""])
  func syntax(json: String) {
    #expect(throws: JSONSyntaxError.self) { try Transcoding.read(json) }
  }

  @Test("Violations are bounded")
  func bounded() throws {
    let members = (0..<1000).map { "\"x\($0)\":1" }.joined(separator: ",")
    #expect(try Transcoding.read("{\(members)}").violations.count == JSONToWire.violationLimit)
  }

  @Test(
    "Rules are applied where the value is read",
    arguments: [
      ("{}", ["/id REQUIRED", "/day REQUIRED", "/title REQUIRED", "/tags REQUIRED"]),
      (
        "{\"id\":\"x\",\"day\":7,\"title\":\"\",\"tags\":[]}",
        ["/id INVALID_UUID", "/day OUT_OF_RANGE", "/title REQUIRED", "/tags TOO_FEW_ITEMS"]
      ),
      (
        "{\"id\":\"0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f\",\"day\":0,\"title\":\"toolong\",\"tags\":[\"a\",\"long\",\"c\"]}",
        ["/title TOO_LONG", "/tags/1 TOO_LONG", "/tags TOO_MANY_ITEMS"]
      ),
      (
        "{\"id\":\"0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f\",\"day\":null,\"title\":\"ok\",\"tags\":[\"a\"]}",
        ["/day REQUIRED"]
      ),
      ("{\"id\":\"0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f\",\"day\":0,\"title\":\"ok\",\"tags\":[\"a\"]}", []),
    ])
  func rules(json: String, summary: [String]) throws {
    #expect(try Transcoding.read(json, as: "t.Strict").summary == summary)
  }
}
