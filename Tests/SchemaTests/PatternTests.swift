import Testing

@testable import Schema

@Suite struct PatternTests {
  static let time = "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"

  @Test(
    "Matches what RE2 matches",
    arguments: [
      (time, "09:30", true), (time, "23:59:59", true), (time, "24:00", false), (time, "9:30", false),
      (time, "09:30 ", false), (time, "", false),
      ("b", "abc", true), ("^b", "abc", false), ("c$", "abc", true), ("b$", "abc", false), ("", "abc", true),
      ("^$", "", true), ("^$", "a", false), ("^(a|bc)*d$", "abcabcd", true), ("^(a|bc)*d$", "abcabd", false),
      ("^a{2,3}$", "a", false), ("^a{2,3}$", "aa", true), ("^a{2,3}$", "aaaa", false),
      ("^a{2,}$", "aaaaa", true),
      ("^a{2}$", "aa", true), ("^a{0}$", "", true),
      ("^[^a-c]+$", "xyz", true), ("^[^a-c]+$", "xbz", false), ("^[]-]+$", "]-", true), ("^[a-]$", "-", true),
      ("^\\d+\\.\\d+$", "3.14", true), ("^\\d+\\.\\d+$", "3x14", false), ("^\\w\\s\\W$", "a !", true),
      ("^.$", "🏪", true), ("^.$", "\n", false), ("a|^b", "xb", false), ("(?:ab)+", "xxabab", true),
      ("^(a?){20}a{20}$", "aaaaaaaaaaaaaaaaaaaa", true), ("^(a*)*$", "aaab", false),
      ("^(a|b|)+$", "abba", true),
    ])
  func matches(pattern: String, value: String, expected: Bool) throws {
    #expect(try Pattern(pattern).matches(value) == expected)
  }

  @Test(
    "A pattern it does not understand is refused, not misread",
    arguments: [
      "(", ")", "(a", "a)", "[a", "*", "a**", "a+?", "a{2", "a{3,2}", "a{9999}", "(a{1000}){1000}", "\\",
      "\\b",
      "[b-a]", "a{", "{1}", "\\p",
    ])
  func refuses(pattern: String) {
    #expect(throws: SchemaError.self) { try Pattern(pattern) }
  }
}

@Suite struct PatternExampleTests {
  @Test(
    "The shortest value that matches, of the first alternative",
    arguments: [
      ("^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$", "00:00"), ("^(b|a)$", "b"), ("a+b*", "a"), ("", ""),
      ("^[a-z0-9](-?[a-z0-9]){1,62}$", "aa"), ("^[^a]{2}$", "00"), (#"^([a-z_]+\.[a-z_]+|\*)$"#, "*"),
      ("a^b", nil), ("a$b", nil), (#"^\d{3}\s$"#, "000\t"),
    ])
  func example(source: String, expected: String?) throws {
    let pattern = try Pattern(source)
    #expect(pattern.example == expected)
    if let expected { #expect(pattern.matches(expected)) }
  }
}
