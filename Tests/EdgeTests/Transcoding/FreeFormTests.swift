import NIOCore
import Testing

@testable import Edge

/// Strings that are the text of a JSON object.
@Suite struct FreeFormTests {
  @Test(
    "They are objects in JSON and text on the wire",
    arguments: [
      ("{}", "{}"), ("{ }", "{ }"), (#"{"b":1,"a":[true,null,{"é":1.50}]}"#, nil),
      ("{\n  \"a\" : 1e2\n}", nil), (#"{"a":"\u0041\/"}"#, nil),
      (#"{"e\u0301":1,"\u00e9":2}"#, nil),
    ])
  func spliced(text: String, expected: String?) throws {
    let outcome = try Transcoding.read("{\"free\":\(text)}")
    #expect(outcome.summary.isEmpty)
    #expect(outcome.wire == SampleSchema.string(29, text))
    #expect(Transcoding.value(of: "free", in: try Transcoding.write(outcome.wire)) == expected ?? text)
  }

  @Test("Unset and empty, they are the empty object; null leaves them unset")
  func empty() throws {
    #expect(Transcoding.value(of: "free", in: try Transcoding.write([])) == "{}")
    #expect(Transcoding.value(of: "free", in: try Transcoding.write(SampleSchema.string(29, ""))) == "{}")
    #expect(try Transcoding.read("{\"free\":null}").wire.isEmpty)
  }

  @Test(
    "Anything but an object is the wrong type", arguments: ["[]", "1", "\"{}\"", "true", "\"\""])
  func mistyped(text: String) throws {
    #expect(try Transcoding.read("{\"free\":\(text)}").summary == ["/free WRONG_TYPE"])
  }

  @Test("Violations point into the object")
  func pointers() throws {
    let outcome = try Transcoding.read(#"{"free":{"a":[{},{"b/c":1,"b\/c":2}],"n":["\u0000"],"k\u0000":1}}"#)
    #expect(
      outcome.summary == [
        "/free/a/1/b~1c DUPLICATE_KEY", "/free/n/0 NUL_CHARACTER", "/free/k\u{0} NUL_CHARACTER",
      ])
  }

  @Test("They share the depth of the document they stand in")
  func depth() throws {
    func nested(_ levels: Int) -> String {
      "{\"free\":{\"a\":" + String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
        + "}}"
    }
    #expect(try Transcoding.read(nested(62)).summary.isEmpty)
    #expect(throws: JSONSyntaxError(.tooDeep, at: 75)) { try Transcoding.read(nested(63)) }
  }

  @Test("Their rules count the text", arguments: [(14, []), (15, ["/notes TOO_LONG"])])
  func size(count: Int, summary: [String]) throws {
    let text = "{\"a\":\"\(String(repeating: "x", count: count - 8))\"}"
    #expect(try Transcoding.read("{\"notes\":\(text)}", as: "t.Annotated").summary == summary)
  }

  @Test(
    "Text of a service that is no object is not passed on",
    arguments: ["x", "[]", "{", "{}x", "{\"a\":01}", " "])
  func broken(text: String) {
    #expect(throws: MalformedMessage.self) { try Transcoding.write(SampleSchema.string(29, text)) }
  }

  @Test("Keys of a map that only look the same are two")
  func mapKeys() throws {
    let outcome = try Transcoding.read(#"{"counts":{"e\u0301":1,"\u00e9":2}}"#)
    #expect(outcome.summary.isEmpty)
  }
}
