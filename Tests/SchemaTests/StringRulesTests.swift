import Testing

@testable import Schema

@Suite struct StringRulesTests {
  @Test(
    "A value of the right shape passes",
    arguments: [
      (StringRules.Shape.uuid, "0190b3a2-7b1e-7cc3-98c4-dc0c0c07398f"),
      (.uuid, "0190B3A2-7B1E-7CC3-98C4-DC0C0C07398F"),
      (.email, "a@b.co"), (.email, "first.last+tag@mail.example.museum"),
      (.e164, "+13125550123"), (.e164, "+4930123"),
      (.ianaZone, "America/Chicago"), (.ianaZone, "America/Argentina/Buenos_Aires"), (.ianaZone, "UTC"),
      (.ianaZone, "US/Central"),
      (.currency, "USD"), (.currency, "EUR"),
    ])
  func accepts(shape: StringRules.Shape, value: String) {
    #expect(StringRules(shape: shape).check(value) == nil)
  }

  @Test(
    "A value of the wrong shape is refused with the code of the shape",
    arguments: [
      (StringRules.Shape.uuid, "", "INVALID_UUID"),
      (.uuid, "0190b3a27b1e7cc398c4dc0c0c07398f", "INVALID_UUID"),
      (.uuid, "{190b3a2-7b1e-7cc3-98c4-dc0c0c07398f", "INVALID_UUID"),
      (.uuid, "0190b3a2-7b1e-7cc3-98c4-dc0c0c07398g", "INVALID_UUID"),
      (.email, "a.b.co", "INVALID_EMAIL"), (.email, "@b.co", "INVALID_EMAIL"),
      (.email, "a@b", "INVALID_EMAIL"),
      (.email, "a@-b.co", "INVALID_EMAIL"), (.email, "a b@c.de", "INVALID_EMAIL"),
      (.email, ".a@b.co", "INVALID_EMAIL"),
      (.e164, "13125550123", "INVALID_PHONE_NUMBER"), (.e164, "+0312555012", "INVALID_PHONE_NUMBER"),
      (.e164, "+123456", "INVALID_PHONE_NUMBER"), (.e164, "+1234567890123456", "INVALID_PHONE_NUMBER"),
      (.ianaZone, "", "UNKNOWN_TIME_ZONE"), (.ianaZone, "Mars/Olympus", "UNKNOWN_TIME_ZONE"),
      (.ianaZone, "america/chicago", "UNKNOWN_TIME_ZONE"), (.ianaZone, "Factory", "UNKNOWN_TIME_ZONE"),
      (.ianaZone, "../../../etc/passwd", "UNKNOWN_TIME_ZONE"), (.ianaZone, "posix/UTC", "UNKNOWN_TIME_ZONE"),
      (.ianaZone, "tzdata.zi", "UNKNOWN_TIME_ZONE"), (.ianaZone, "America", "UNKNOWN_TIME_ZONE"),
      (.currency, "usd", "UNKNOWN_CURRENCY"), (.currency, "XXX", "UNKNOWN_CURRENCY"),
    ])
  func refuses(shape: StringRules.Shape, value: String, code: String) {
    #expect(StringRules(shape: shape).check(value)?.code == code)
  }

  @Test(
    "Lengths count characters, not bytes",
    arguments: [
      ("", "TOO_SHORT"), ("a", "TOO_SHORT"), ("ab", nil), ("éé", nil), ("🏪🏪🏪", nil), ("🏪🏪🏪🏪", "TOO_LONG"),
      ("abcd", "TOO_LONG"), ("🏪", "TOO_SHORT"),
    ])
  func lengths(value: String, code: String?) {
    #expect(StringRules(minLength: 2, maxLength: 3).check(value)?.code == code)
  }

  @Test("The message says what is wrong in the words of the caller")
  func messages() {
    #expect(StringRules(minLength: 1).check("")?.message == "must not be empty")
    #expect(StringRules(maxLength: 1).check("ab")?.message == "must have at most 1 character")
    #expect(StringRules(maxBytes: 3).check("éé")?.message == "must have at most 3 bytes")
    #expect(StringRules(allowed: ["a", "b"]).check("c")?.message == "must be one of a, b")
  }

  @Test("The zones are those of tzdata.zi, links included")
  func zones() {
    let names = TimeZoneNames(
      tzdata:
        "# version\nR d 1916 o - Jun 14 23s 1 S\nZ Africa/Algiers 0:12:12 - LMT\n0 d WE%sT\nL Etc/UTC UTC\n")
    #expect(names.names == ["Africa/Algiers", "UTC"])
    #expect(TimeZoneNames.system.names.count > 400)
  }
}
