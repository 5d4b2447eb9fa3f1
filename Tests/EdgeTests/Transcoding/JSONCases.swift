import Testing

/// Texts that are JSON by the grammar of RFC 8259, and texts that are not, rule by rule. They cover every case of
/// JSONTestSuite (github.com/nst/JSONTestSuite), whose own files `JSONGrammarTests` reads as well where it finds them.
///
/// One a line, as it stands. `«E9 0A»` is those bytes, `«5B*500»` that byte 500 times; `#` begins a heading.
enum JSONCases {
  static let accepted = cases(
    #"""
    # §2 Structure: any value, white space around any token
    null
    true
    false
    0
    -0.1
    42
    ""
    "asd"
    " "
    []
    {}
    «20»[]«20»
    «09 0D 0A»{}«0A»
    ["a"]«0A»
    [[]«20 20 20»]
    [«20»"asd"]
    [1«0A»]
    «20»[1]
    [2]«20»
    [ 4]
    {«0A»"a"«09»:«20»"b"«0D»}
    # §3 Values
    [null]
    [true]
    [false]
    [null,1,"1",{}]
    [null, 1, "1", {}]
    # §4 Objects: names need not be unique for the grammar; ours are, see `doubtful`
    {"asd":"sdf"}
    {"asd":"sdf", "dfg":"fgh"}
    {"a":[]}
    {"":0}
    {"a":{"a":{"a":null}}}
    {"min":-1.0e+28,"max":1.0e+28}
    { "min": -1.0e+28, "max": 1.0e+28 }
    {"x":[{"id":"«78*40»"}],"id":"«78*40»"}
    {"a\u0062":1,"a":2}
    {"title":"\u041f\u043e\u043b\u0442\u043e\u0440\u0430 \u0417\u0435\u043c\u043b\u0435\u043a\u043e\u043f\u0430" }
    {"\u041f\u043e\u043b\u0442\u043e\u0440\u0430":"\u0417\u0435\u043c\u043b\u0435\u043a\u043e\u043f\u0430"}
    # §5 Arrays
    [""]
    [1,2,3]
    [[],[[]]]
    [1,null,null,null,2]
    # §6 Numbers
    [-0]
    [-1]
    [-123]
    [123]
    [0.5]
    [-0.5]
    [123.456789]
    [1E22]
    [1E-2]
    [1E+2]
    [1e-2]
    [1e+2]
    [0e1]
    [0e+1]
    [0E-1]
    [20e1]
    [123e45]
    [123e65]
    [123.456e78]
    [-0.«30*77»1]
    [0.10]
    [1.5e00]
    # §7 Strings: escapes
    ["\"\\\/\b\f\n\r\t"]
    ["\""]
    ["\\"]
    ["\\a"]
    ["\\n"]
    ["\\u0000"]
    ["\u0012"]
    ["\u0022"]
    ["\u002c"]
    ["\u005C"]
    ["\u0061\u30af\u30EA\u30b9"]
    ["\u0060\u012a\u12AB"]
    ["\u0123"]
    ["\u0821"]
    ["\uA66D"]
    ["new\u000Aline"]
    ["new\u00A0line"]
    ["\u200B"]
    ["\u2064"]
    ["\uFDD0"]
    ["\uFFFE"]
    ["\uFFFF"]
    # §7 Strings: pairs of surrogates, noncharacters among them
    ["\uD801\udc37"]
    ["\ud83d\ude39\ud83d\udc8d"]
    ["\uD834\uDd1e"]
    ["\uDBFF\uDFFF"]
    ["\uDBFF\uDFFE"]
    ["\uD83F\uDFFE"]
    # §7 Strings: what needs no escape
    ["asd "]
    ["a/*b*/c/*d//e"]
    ["«7F»"]
    ["a«7F»a"]
    ["π"]
    ["€𝄞"]
    ["⍂㈴⍂"]
    ["«E2 80 A8»"]
    ["«E2 80 A9»"]
    ["«EF BF BF»"]
    ["«F0 9B BF BF»"]
    ["«F4 8F BF BF»"]
    ["«EE 80 80»«ED 9F BF»"]
    """#)

  static let refused = cases(
    #"""
    # §2 Structure: nothing, or not a value
    «»
    «20»
    «0A»
    *
    #
    <.>
    [<null>]
    abc
    a«C3 A5»
    «C3 A5»
    «E9»
    «E5»
    «00»
    [«00»]
    [«0C»]
    [«0B»1]
    [«E2 81 A0»]
    «C2 A0»1
    [*]
    # §2 Structure: something behind the value
    [1]x
    [1]]
    [1],
    [""],
    ["x"]]
    1]
    2@
    1 2
    1;
    ""x
    123«00»
    [][]
    [][
    {}}
    {}{}
    {"a":"b"}#
    {"a":"b"}#{}
    {"a":true} "x"
    # §2 Structure: brackets that are left open, or close what is not
    [
    ]
    {
    }
    [1
    [1,
    [1}
    {]
    {[
    {,
    [,
    [{
    [{}
    ["
    ["a
    ["a"
    [""
    ['
    {"a
    {'a'
    {"a"
    {"a":
    {"":
    {"a":1
    {"a":1,
    {"x":true,
    {"a":"a
    {"asd":"asd"
    ["asd]
    ["x"
    [x
    ["a",«0A»4«0A»,1,
    [1,«0A»1«0A»,1
    ["\{["\{["\{["\{
    «5B*100000»
    «5B 7B 22 22 3A*50000»«0A»
    # §3 Values: the three names, in lower case and whole
    nul
    nulll
    tru
    fals
    truefalse
    True
    [True]
    [TRUE]
    [nul]
    [tru]
    [fals]
    [ false, nul
    [ false, tru
    [ true, fals
    {"a":truth}
    undefined
    # No comments
    // c
    /* */1
    {"a":"b"}/**/
    {"a":"b"}/**//
    {"a":"b"}//
    {"a":"b"}/
    {"a":/*comment*/"b"}
    # §4 Objects
    {"x", null}
    {"x"::"b"}
    {"a":"a" 123}
    {"a":1 "b":2}
    {key: 'value'}
    {a: "b"}
    {a:1}
    {'a':0}
    {"a" b}
    {"a" "b"}
    {:"b"}
    {[: "x"}
    {1:1}
    {9999E9999:1}
    {null:null,null:null}
    {true:1}
    {«F0 9F 87 A8 F0 9F 87 AD»}
    {"«B9»":"0",}
    {,"a":1}
    {"id":0,}
    {"id":0,,,,,}
    {"a":"b",,"c":"d"}
    { "foo" : "bar", "a" }
    {"a":}
    {"a":1,"b"}
    ["x", truth]
    # §5 Arrays
    [1 true]
    [3[4]]
    [1 2]
    ["": 1]
    [1:2]
    [,1]
    [,]
    [   , ""]
    [1,,2]
    [1,]
    [1,,]
    ["",]
    ["x",,]
    [a«E5»]
    [«FF»]
    [1;2]
    (1)
    # §6 Numbers: sign
    [+1]
    [++1234]
    [-]
    [--1]
    [- 1]
    [-foo]
    [+Inf]
    # §6 Numbers: no leading zeros, digits on both sides of the point
    [012]
    [-01]
    [-012]
    [00]
    [.123]
    [-.123]
    [.-1]
    [.2e-3]
    [1.]
    [-2.]
    [0.1.2]
    [-1.0.]
    [2.e3]
    [2.e+3]
    [2.e-3]
    [0.e1]
    [9.e+]
    # §6 Numbers: exponents
    [0e]
    [0E]
    [0e+]
    [0E+]
    [1.0e]
    [1.0e+]
    [1.0e-]
    [0.3e]
    [0.3e+]
    [1eE2]
    [0e+-1]
    [1ea]
    [1e1.5]
    # §6 Numbers: other notations
    [0x1]
    [0x42]
    [0b1]
    [1_000]
    [1 000.0]
    [1+2]
    [-1x]
    [-123.123foo]
    [1.2a-3]
    [1.8011670033376514H-308]
    [NaN]
    [-NaN]
    [Inf]
    [Infinity]
    [-Infinity]
    [１]
    [123«E5»]
    [1e1«E5»]
    [1e«E5»]
    [0«E5»]«0A»
    # §7 Strings: quotes
    "
    ['single quote']
    [é]
    [\n]
    [\u0020"asd"]
    [\u000A""]
    ["«09 0A»"]
    # §7 Strings: control characters
    ["«09»"]
    ["a«00»a"]
    ["new«0A»line"]
    ["«1F»"]
    ["«0B»a"\f]
    # §7 Strings: escapes
    "\UA66D"
    ["\
    ["\"]
    ["\\\"]
    ["\a"]
    ["\x00"]
    ["\0"]
    ["\'"]
    ["\«00»"]
    ["\«09»"]
    ["\«0A»"]
    ["\«F0 9F 8C 80»"]
    ["\«E5»"]
    ["\u«E5»"]
    ["\u"]
    ["\u12"]
    ["\u00A"]
    ["\u123g"]
    ["\uqqqq"]
    ["\u+123"]
    ["\u{41}"]
    # §7 Strings: escapes cut short behind half a pair
    ["\uD800\"]
    ["\uD800\u"]
    ["\uD800\u1"]
    ["\uD800\u1x"]
    ["\uD834\uDd"]
    ["\uD800\uD800\x"]
    # §8.1 A byte order mark that leads nowhere
    «EF BB BF»
    «EF BB»{}
    """#)

  /// What RFC 8259 leaves to us (§6, §8, §9), and how we decided. Refused:
  static let refusedByChoice = cases(
    #"""
    # §8.1: JSON between systems is UTF-8, and a parser need not take a byte order mark
    «EF BB BF»{}
    «EF BB BF»1
    «FF FE 5B 00 22 00 E9 00 22 00 5D 00»
    «5B 00 22 00 E9 00 22 00 5D 00»
    «00 5B 00 22 00 E9 00 22 00 5D»
    # §8.1: bytes that are not UTF-8 (Unicode, table 3-7)
    ["«E9»"]
    ["«81»"]
    ["«80»"]
    ["«BF»"]
    ["«FF»"]
    ["«FE»"]
    ["«E6 97 A5 D1 88 FA»"]
    ["«C3»"]
    ["«C3 28»"]
    ["«E0 FF»"]
    ["«E2 82»"]
    ["«E2 28 A1»"]
    ["«F0 9F 8F»"]
    # overlong
    ["«C0 80»"]
    ["«C0 AF»"]
    ["«C1 BF»"]
    ["«E0 80 80»"]
    ["«E0 9F BF»"]
    ["«F0 80 80 80»"]
    ["«F0 8F BF BF»"]
    ["«FC 80 80 80 80 80»"]
    ["«FC 83 BF BF BF BF»"]
    # surrogates, and above U+10FFFF
    ["«ED A0 80»"]
    ["«ED BF BF»"]
    ["«F4 90 80 80»"]
    ["«F4 BF BF BF»"]
    ["«F5 80 80 80»"]
    # §8.2: half a pair of surrogates is no character
    ["\ud800"]
    ["\uDFAA"]
    ["\uDADA"]
    ["\ud800abc"]
    ["\uDd1ea"]
    ["\uDd1e\uD834"]
    ["\uD888\u1234"]
    ["\uD800\n"]
    ["\uD800\uD800\n"]
    ["\uD800\uD800"]
    {"\uDFAA":0}
    # §9: depth
    «5B*500»«5D*500»
    «5B*65»«5D*65»
    """#)

  /// Accepted: numbers of any size are numbers. A field that has no room for one says OUT_OF_RANGE; one too near zero
  /// for a double is zero there, and free-form JSON keeps it as it is written (§6).
  static let acceptedByChoice = cases(
    #"""
    [123.456e-789]
    [123e-10000000]
    [0.4e0066«39*116»6«39*7»006]
    [-1e+9999]
    [1.5e+9999]
    [-123123e100000]
    [123123e100000]
    [100000000000000000000]
    [-123123123123123123123123123123]
    [-237462374673276894279832749832423479823246327846]
    """#)

  /// JSON by the grammar that the contract does not take in a message (CONTRACT.md, "JSON"), with the code it is
  /// refused with.
  static let doubtful = [
    (JSONCase(#"{"a":"b","a":"c"}"#), "DUPLICATE_KEY"),
    (JSONCase(#"{"a":"b","a":"b"}"#), "DUPLICATE_KEY"),
    (JSONCase(#"{"a":1,"\u0061":1}"#), "DUPLICATE_KEY"),
    (JSONCase(#"["\u0000"]"#), "NUL_CHARACTER"),
    (JSONCase(#"{"foo\u0000bar": 42}"#), "NUL_CHARACTER"),
  ]

  private static func cases(_ table: String) -> [JSONCase] {
    table.split(separator: "\n").filter { !$0.hasPrefix("# ") }.map { JSONCase($0) }
  }
}

struct JSONCase: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let bytes: [UInt8]

  init(_ line: some StringProtocol) {
    testDescription = String(line)
    var bytes: [UInt8] = []
    var rest = Substring(line)
    while let open = rest.firstIndex(of: "«"), let close = rest.firstIndex(of: "»") {
      bytes += rest[..<open].utf8
      let parts = rest[rest.index(after: open)..<close].split(separator: "*")
      let piece = (parts.first ?? "").split(separator: " ").compactMap { UInt8($0, radix: 16) }
      for _ in 0..<(parts.count > 1 ? Int(parts[1]) ?? 0 : 1) { bytes += piece }
      rest = rest[rest.index(after: close)...]
    }
    self.bytes = bytes + rest.utf8
  }
}
