import Testing

@testable import Schema

@Suite struct NumberRulesTests {
  @Test(
    "Bounds include or exclude their value as they say",
    arguments: [
      (NumberRules<Int64>(lower: .atLeast(0), upper: .atMost(6)), Int64(0), true),
      (.init(lower: .atLeast(0), upper: .atMost(6)), 6, true),
      (.init(lower: .atLeast(0), upper: .atMost(6)), -1, false),
      (.init(lower: .atLeast(0), upper: .atMost(6)), 7, false),
      (.init(lower: .above(0)), 0, false), (.init(lower: .above(0)), 1, true),
      (.init(upper: .below(0)), 0, false), (.init(upper: .below(0)), .min, true),
      (.init(), .max, true),
    ])
  func bounds(rules: NumberRules<Int64>, value: Int64, passes: Bool) {
    #expect((rules.check(value) == nil) == passes)
  }

  @Test("NaN breaks every bound, and infinity breaks finite")
  func notNumbers() {
    #expect(NumberRules<Double>(lower: .atLeast(0)).check(.nan) != nil)
    #expect(NumberRules<Double>(isFinite: true).check(.nan) != nil)
    #expect(NumberRules<Double>(isFinite: true).check(.infinity) != nil)
    #expect(NumberRules<Double>().check(.nan) == nil)
  }

  @Test("The message tells both bounds")
  func message() {
    let violation = NumberRules<Int64>(lower: .atLeast(0), upper: .atMost(100)).check(101)
    #expect(violation == RuleViolation(code: "OUT_OF_RANGE", message: "must be at least 0 and at most 100"))
  }

  @Test(
    "A timestamp lies in the years 1 to 9999",
    arguments: [
      (Int64(0), Int32(0), true), (-62_135_596_800, 0, true), (253_402_300_799, 999_999_999, true),
      (-62_135_596_801, 0, false), (253_402_300_800, 0, false), (0, -1, false), (0, 1_000_000_000, false),
    ])
  func timestamps(seconds: Int64, nanos: Int32, passes: Bool) {
    #expect((TimestampRules.check(seconds: seconds, nanos: nanos) == nil) == passes)
  }
}
