import NIOCore
import Testing

@testable import Postgres

@Suite("Values there and back in binary")
struct ValueTests {
  /// Sends each value as a parameter and reads it back; and has Postgres compare it with a literal of its own, so
  /// that two errors cannot cancel out.
  private func roundTrip<Value: PostgresValue & Equatable>(
    _ type: String, _ cases: [(Value, literal: String)], comparison: String = "="
  ) async throws {
    // No table is needed, so no database either.
    try await TestDatabase.withClient(TestDatabase.serverURL) { client in
      for (value, literal) in cases {
        let back = try await client.value(Query<Value, Value>(text: "SELECT $1::\(type)", parameter: value))
        #expect(back == value)
        let same = try await client.value(
          Query<Value, Bool>(text: "SELECT $1 \(comparison) \(literal)::\(type)", parameter: value))
        #expect(same == true, "\(value) is not \(literal)")
        let read = try await client.value("SELECT \(literal)::\(type)", Value.self)
        #expect(read == value)
        let absent = try await client.value(
          Query<Value?, Value?>(text: "SELECT $1::\(type)", parameter: .some(nil)))
        #expect(absent == .some(nil))
      }
    }
  }

  @Test("Whole numbers")
  func integers() async throws {
    try await roundTrip("int2", [(Int16.min, "'-32768'"), (.max, "32767"), (0, "0")])
    try await roundTrip("int4", [(Int32.min, "'-2147483648'"), (.max, "2147483647"), (-1, "'-1'")])
    try await roundTrip("int8", [(Int64.min, "'-9223372036854775808'"), (.max, "9223372036854775807")])
    try await roundTrip("int8", [(Int(42), "42")])
  }

  @Test("float4, float8 and bool")
  func floatsAndBool() async throws {
    try await roundTrip(
      "float4",
      [
        (Float(1.5), "1.5"), (-0.1, "'-0.1'"), (.infinity, "'Infinity'"),
        (.greatestFiniteMagnitude, "3.4028235e38"), (.leastNonzeroMagnitude, "'1e-45'"),
      ])
    try await roundTrip(
      "float8",
      [
        (1.5, "1.5"), (-0.1, "'-0.1'"), (.infinity, "'Infinity'"), (-.infinity, "'-Infinity'"),
        (.greatestFiniteMagnitude, "1.7976931348623157e308"), (.leastNonzeroMagnitude, "'5e-324'"),
      ])
    try await roundTrip("bool", [(true, "true"), (false, "false")])
  }

  @Test("text, bytea, jsonb, uuid")
  func bytes() async throws {
    try await roundTrip(
      "text", [("", "''"), ("naïve 🏪 'quoted' \\", "E'naïve 🏪 \\'quoted\\' \\\\'"), (" x ", "' x '")])
    try await roundTrip(
      "bytea", [(ByteBuffer(), "''"), (ByteBuffer(bytes: Array(0...255)), "decode('\(hex)', 'hex')")])
    try await roundTrip("jsonb", [(PostgresJSON("{\"a\": [1, null]}"), "'{\"a\":[1,null]}'")])
    try await roundTrip(
      "uuid",
      [
        (UUID(high: 0, low: 0), "'00000000-0000-0000-0000-000000000000'"),
        (UUID(high: .max, low: .max), "'ffffffff-ffff-ffff-ffff-ffffffffffff'"),
        (
          UUID(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210),
          "'01234567-89AB-cdef-fedc-ba9876543210'"
        ),
      ])
  }

  private var hex: String {
    (0...255).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  @Test("Times, dates and intervals")
  func times() async throws {
    try await roundTrip(
      "timestamptz",
      [
        (PostgresTimestamp(microseconds: 0), "'1970-01-01Z'"),
        (PostgresTimestamp(microseconds: 1_674_670_402_479_220), "'2023-01-25T18:13:22.479220Z'"),
        (PostgresTimestamp(microseconds: -1), "'1969-12-31T23:59:59.999999Z'"),
        (.infinity, "'infinity'"), (.negativeInfinity, "'-infinity'"),
        (PostgresTimestamp(microseconds: -210_866_803_200_000_000), "'4714-11-24 00:00:00Z BC'"),
      ])
    try await roundTrip(
      "date",
      [
        (PostgresDate(days: 0), "'1970-01-01'"), (PostgresDate(days: 19_382), "'2023-01-25'"),
        (PostgresDate(days: 2_145_042_905), "'5874897-12-31'"),
        (PostgresDate(days: -2_440_588), "'4714-11-24 BC'"),
        (.infinity, "'infinity'"), (.negativeInfinity, "'-infinity'"),
      ])
    try await roundTrip(
      "time",
      [
        (PostgresTime(microseconds: 0), "'00:00'"), (PostgresTime(microseconds: 86_400_000_000), "'24:00'"),
        (PostgresTime(microseconds: 86_399_999_999), "'23:59:59.999999'"),
      ])
    try await roundTrip(
      "interval",
      [
        (
          PostgresInterval(months: 14, days: -3, microseconds: 4_000_005),
          "'1 year 2 months -3 days 4.000005 s'"
        ),
        (PostgresInterval(microseconds: .max), "'2562047788:00:54.775807'"),
      ])
  }

  @Test("A time later than microseconds since 1970 can say is an error, not another time")
  func tooLate() async throws {
    try await TestDatabase.withClient { client in
      await #expect(throws: PostgresError.self) {
        _ = try await client.value("SELECT '294276-12-31'::timestamptz", PostgresTimestamp.self)
      }
    }
  }

  @Test("numeric keeps every digit")
  func decimals() async throws {
    let texts = [
      "0", "0.00", "1", "-1", "10000", "9999.9999", "0.0001", "0.00001", "-0.10",
      "12345678901234567890.123456789",
      "100000000", "1.50", "NaN", "Infinity", "-Infinity",
      String(repeating: "9", count: 300) + "." + String(repeating: "7", count: 200),
    ]
    let cases = try texts.map { (try #require(PostgresDecimal($0)), literal: "'\($0)'") }
    try await roundTrip("numeric", cases)
  }

  @Test(
    "What is not a decimal number is refused", arguments: ["", "-", ".", "1e5", "1.2.3", "nan", "١", " 1"])
  func notDecimal(text: String) {
    #expect(PostgresDecimal(text) == nil)
  }

  @Test("Arrays, with NULLs and without")
  func arrays() async throws {
    try await roundTrip("int8[]", [([] as [Int64], "'{}'"), ([1, .max], "'{1,9223372036854775807}'")])
    try await roundTrip("text[]", [(["a", nil, "", "NULL"] as [String?], "'{a,NULL,\"\",\"NULL\"}'")])
    try await roundTrip("uuid[]", [([UUID(high: 0, low: 1)], "'{00000000-0000-0000-0000-000000000001}'")])
    try await roundTrip("float4[]", [([Float(0.5), nil, -0.1], "'{0.5,NULL,-0.1}'")])
    try await roundTrip("int2[]", [([Int16.min, nil], "'{-32768,NULL}'")])
    try await roundTrip("int4[]", [([nil, Int32.max], "'{NULL,2147483647}'")])
    try await roundTrip("int8[]", [([nil, Int64.min, nil], "'{NULL,-9223372036854775808,NULL}'")])
    try await roundTrip("int8[]", [([1, nil] as [Int?], "'{1,NULL}'")])
    try await roundTrip(
      "uuid[]", [([nil, UUID(high: 0, low: 1)], "'{NULL,00000000-0000-0000-0000-000000000001}'")])
    try await roundTrip(
      "timestamptz[]",
      [
        (
          [PostgresTimestamp(microseconds: 1), nil, .infinity],
          "'{1970-01-01 00:00:00.000001Z,NULL,infinity}'"
        )
      ])
    try await roundTrip(
      "interval[]", [([nil, PostgresInterval(months: 1, microseconds: 2)], "'{NULL,1 mon 2 us}'")])
    try await roundTrip("jsonb[]", [([nil, PostgresJSON("[1, \"a\"]")], "array[NULL, '[1,\"a\"]']")])
    try await roundTrip(
      "tstzrange[]",
      [
        (
          [
            PostgresRange(PostgresTimestamp(microseconds: 0), until: PostgresTimestamp(microseconds: 1)),
            .empty, nil,
          ],
          "'{\"[1970-01-01 00:00:00Z,1970-01-01 00:00:00.000001Z)\",empty,NULL}'"
        )
      ])
    try await roundTrip("int4range[]", [([PostgresRange<Int32>(1, until: 5)], "'{\"[1,5)\"}'")])
    try await roundTrip("int8range[]", [([PostgresRange<Int64>(1, until: 5)], "'{\"[1,5)\"}'")])
    try await roundTrip(
      "daterange[]",
      [
        (
          [PostgresRange(PostgresDate(days: 0), until: PostgresDate(days: 1))],
          "'{\"[1970-01-01,1970-01-02)\"}'"
        )
      ])
    try await roundTrip(
      "numrange[]",
      [
        (
          [PostgresRange.from(.included(try #require(PostgresDecimal("0.5"))), to: .unbounded)],
          "'{\"[0.5,)\"}'"
        )
      ])
    try await roundTrip("bool[]", [([true, false], "'{t,f}'")])
    try await roundTrip("float8[]", [([0.5], "'{0.5}'")])
    try await roundTrip("int4[]", [([Int32.min], "'{-2147483648}'")])
    try await roundTrip("int2[]", [([Int16(7)], "'{7}'")])
    try await roundTrip(
      "timestamptz[]", [([PostgresTimestamp(microseconds: 1)], "'{1970-01-01 00:00:00.000001Z}'")])
    try await roundTrip("date[]", [([PostgresDate(days: 1)], "'{1970-01-02}'")])
    try await roundTrip("time[]", [([PostgresTime(microseconds: 1_000_000)], "'{00:00:01}'")])
    try await roundTrip("interval[]", [([PostgresInterval(days: 1)], "'{1 day}'")])
    try await roundTrip("numeric[]", [([try #require(PostgresDecimal("1.5"))], "'{1.5}'")])
    try await roundTrip("jsonb[]", [([PostgresJSON("{}")], "'{\"{}\"}'")])
    try await roundTrip("bytea[]", [([ByteBuffer(string: "x")], "'{\"\\\\x78\"}'")])
  }

  @Test("An array of arrays is refused")
  func nestedArray() async throws {
    try await TestDatabase.withClient { client in
      await #expect(throws: PostgresError.self) {
        _ = try await client.value("SELECT '{{1},{2}}'::int8[]", [Int64].self)
      }
    }
  }

  @Test("Ranges")
  func ranges() async throws {
    try await roundTrip(
      "int8range",
      [
        (PostgresRange<Int64>.empty, "'empty'"), (PostgresRange(1, until: 5), "'[1,5)'"),
        (.from(.unbounded, to: .excluded(3)), "'(,3)'"), (.from(.unbounded, to: .unbounded), "'(,)'"),
      ])
    try await roundTrip("int4range", [(PostgresRange<Int32>(1, until: 2), "'[1,2)'")])
    try await roundTrip(
      "daterange",
      [(PostgresRange(PostgresDate(days: 0), until: PostgresDate(days: 1)), "'[1970-01-01,1970-01-02)'")])
    try await roundTrip(
      "tstzrange",
      [
        (
          PostgresRange.from(
            .excluded(PostgresTimestamp(microseconds: 0)),
            to: .included(PostgresTimestamp(microseconds: 1_000_000))),
          "'(1970-01-01 00:00:00Z,1970-01-01 00:00:01Z]'"
        )
      ])
    let (half, two) = (try #require(PostgresDecimal("0.5")), try #require(PostgresDecimal("2")))
    try await roundTrip("numrange", [(PostgresRange.from(.included(half), to: .included(two)), "'[0.5,2]'")])
  }
}

@Suite("UUID")
struct UUIDTests {
  @Test("Is written in lower case and read in either")
  func text() throws {
    let uuid = try #require(UUID("01234567-89AB-cdef-fedc-ba9876543210"))
    #expect(uuid.description == "01234567-89ab-cdef-fedc-ba9876543210")
  }

  @Test(
    "Anything but the 36 characters is refused",
    arguments: [
      "", "0123456789abcdeffedcba9876543210", "{01234567-89ab-cdef-fedc-ba9876543210}",
      "01234567-89ab-cdef-fedc-ba987654321", "01234567-89ab-cdef-fedc-ba98765432100",
      "0123456-789ab-cdef-fedc-ba9876543210", "01234567-89ab-cdef-fedc-ba987654321g",
      "01234567-89ab-cdef-fedc_ba9876543210", " 1234567-89ab-cdef-fedc-ba9876543210",
    ])
  func invalid(text: String) {
    #expect(UUID(text) == nil)
  }

  @Test("Version 7 carries its time, its version and variant, and sorts by time")
  func version7() {
    struct Ones: RandomNumberGenerator {
      func next() -> UInt64 { .max }
    }
    var ones = Ones()
    let early = UUID.v7(now: PostgresTimestamp(microseconds: 1_645_557_742_000_000), random: &ones)
    // The example of RFC 9562, Appendix A.6, with all random bits set.
    #expect(early.description == "017f22e2-79b0-7fff-bfff-ffffffffffff")
    let later = UUID.v7(now: PostgresTimestamp(microseconds: 1_645_557_742_001_000))
    #expect(early < later)
  }
}

@Suite("Times as text")
struct TimestampTests {
  @Test(
    "RFC 3339 with as many fraction digits as needed",
    arguments: [
      (0, "1970-01-01T00:00:00Z"), (1_674_670_402_479_220, "2023-01-25T18:13:22.47922Z"),
      (-1, "1969-12-31T23:59:59.999999Z"), (951_782_400_000_000, "2000-02-29T00:00:00Z"),
      (4_107_542_400_000_000, "2100-03-01T00:00:00Z"), (-62_135_596_800_000_000, "0001-01-01T00:00:00Z"),
    ] as [(Int64, String)])
  func description(microseconds: Int64, text: String) {
    #expect(PostgresTimestamp(microseconds: microseconds).description == text)
  }

  @Test("Seconds round down and nanoseconds are never negative")
  func parts() throws {
    let time = PostgresTimestamp(microseconds: -1)
    #expect(time.seconds == -1)
    #expect(time.nanoseconds == 999_999_000)
    #expect(PostgresTimestamp(seconds: -1, nanoseconds: 999_999_000) == time)
    #expect(PostgresTimestamp(seconds: .max, nanoseconds: 0) == nil)
  }
}
